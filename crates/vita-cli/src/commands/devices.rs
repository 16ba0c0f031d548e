//! `devices`: the cards of this machine, what runs them, and what is missing.

use clap::Args;
use serde_json::{Value as Json, json};
use vita_base::Report;
use vita_cuda::report::{Absence, DeviceReport, LibraryReport, Report as CudaReport};
use vita_ops::simd::Isa;

use crate::{cuda, terminal};

/// Say which cards there are, what runs them, and what is missing.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints what there is. That there is no card is no error: everything runs on the processor.
///
/// # Errors
/// If nothing can be printed.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let report = CudaReport::new(&cuda::search());
    if arguments.json {
        let mut json = json_of(&report);
        json["cpu"] = json!({ "cores": cores, "instructions": Isa::best().to_string() });
        return terminal::print_json(&json);
    }
    terminal::print(&format!("cpu       {cores} cores, {}\n{}", Isa::best(), report.to_string().trim_end()))
}

/// The report for programs: `devices --json`, and `cuda` of `/system_stats`.
pub fn json_of(report: &CudaReport) -> Json {
    let absence = |absence: &Absence| json!({ "missing": absence.reason, "remedy": absence.remedy });
    let device = |DeviceReport { index, properties }: &DeviceReport| match properties {
        Ok(card) => json!({
            "index": index,
            "name": card.name,
            "compute_capability": card.arch.to_string(),
            "total_bytes": card.total_bytes,
            "processors": card.processors,
        }),
        Err(reason) => {
            let mut json = absence(reason);
            json["index"] = (*index).into();
            json
        }
    };
    let library = |LibraryReport { library, found }: &LibraryReport| {
        let json = match found {
            Ok(found) => json!({
                "path": found.path,
                "from": found.origin.to_string(),
                "version": found.version.map(|version| version.to_string()),
            }),
            Err(reason) => absence(reason),
        };
        (library.to_string(), json)
    };
    json!({
        "ready": report.is_ready(),
        "driver": match &report.driver {
            Ok(driver) => json!({ "path": driver.path, "cuda": driver.cuda.to_string(), "version": driver.version }),
            Err(reason) => absence(reason),
        },
        "devices": report.devices.iter().map(device).collect::<Vec<_>>(),
        "libraries": report.libraries.iter().map(library).collect::<serde_json::Map<_, _>>(),
        "remedy": report.remedy(),
    })
}
