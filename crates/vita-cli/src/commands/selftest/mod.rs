//! `selftest`: every kernel of a card held to its reference, and the small models to the processor.

mod networks;

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use vita_base::Report;
use vita_cuda::cublaslt::CublasLt;
use vita_cuda::cudnn::Cudnn;
use vita_cuda::machine::{Driver, Gpu, Machine};
use vita_cuda::memory::Pool;
use vita_cuda::selftest::{self, Outcome, Verdict};

use crate::cuda::{self, Device};
use crate::terminal;
use networks::{Check, Nearness};

/// Hold every kernel of a card to its slow reference, and the small models to the processor: relative errors, and
/// decibels of a video.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The card: `cuda`, or `cuda:1` for the second.
    #[arg(long, default_value = "cuda", value_name = "DEVICE")]
    device: Device,
    /// Only ops and networks whose name contains this.
    #[arg(long, default_value = "", value_name = "TEXT")]
    op: String,
    /// Only the op that is called so exactly, and no network.
    #[arg(long, requires = "op")]
    exact: bool,
    /// Name the ops that have kernels of our own, one a line, and do nothing else.
    #[arg(long)]
    list: bool,
    /// Print JSON, when all is done.
    #[arg(long)]
    json: bool,
}

/// What became of a case.
#[derive(Serialize)]
struct Line {
    /// The op or network.
    name: &'static str,
    /// Sizes and types of an op's case; the system of a network's.
    title: String,
    /// Whether it is right, or cannot be run by this card.
    passed: bool,
    skipped: bool,
    /// Relative error of an op or a network.
    error: Option<f64>,
    /// The most of it that is right.
    error_max: Option<f64>,
    /// Of a video.
    decibels: Option<f64>,
    /// The same in words.
    text: String,
}

/// Runs the cases.
///
/// # Errors
/// If there is no such card, or a case fails.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    if arguments.list {
        let mut names: Vec<&str> = vita_cuda::ops::cases().iter().map(|case| case.op).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| name.contains(&arguments.op));
        return terminal::print(&names.join("\n"));
    }
    let Device::Cuda(index) = arguments.device else {
        return Err(
            Report::new("the processor has no kernels to compile").with_hint("its ops are held by `cargo test`")
        );
    };
    let mut lines = ops(index, arguments)?;
    let mut networks = networks::checks();
    networks.retain(|check| arguments.takes(&check.full_name()));
    if lines.is_empty() && networks.is_empty() {
        return Err(Report::new(format!("no op's or network's name contains `{}`", arguments.op))
            .with_hint("`vitascope selftest --list` names the ops"));
    }
    if !networks.is_empty() {
        let card = cuda::open_card(index, None)?;
        for Check { network, system, run } in networks {
            lines.push(tell(Line::of_network(network, system, run(&card)), arguments)?);
        }
    }
    if arguments.json {
        terminal::print_json(&lines)?;
    }
    match lines.iter().filter(|line| !line.passed).count() {
        0 => Ok(()),
        failed => Err(Report::new(format!("{failed} of {} cases failed", lines.len()))),
    }
}

/// Every kernel's cases, and those of NVIDIA's libraries that are there.
fn ops(index: usize, arguments: &Arguments) -> Result<Vec<Line>, Report> {
    let search = cuda::search();
    let driver = Driver::open(&search)?;
    let card = Arc::new(Gpu::open(&driver, &search, index, cuda::kernel_cache())?);
    let machine: Arc<dyn Machine> = card.clone();
    let pool = Pool::new(machine, None);
    let mut cases = vita_cuda::ops::cases();
    match CublasLt::open(&search, card.clone(), &pool, driver.version) {
        Ok(library) => cases.extend(Arc::new(library).cases()),
        Err(error) => terminal::note(&format!("without cuBLASLt: {error}")),
    }
    match Cudnn::open(&search, card, &pool, driver.version) {
        Ok(library) => cases.extend(Arc::new(library).cases()),
        Err(error) => terminal::note(&format!("without cuDNN: {error}")),
    }
    cases.retain(|case| arguments.takes(case.op));
    // One by one, so that what a crash or a limit of time leaves is told.
    let told =
        |case| selftest::run_cases(&pool, [case]).into_iter().map(|outcome| tell(Line::of_op(outcome), arguments));
    cases.into_iter().flat_map(told).collect()
}

impl Arguments {
    fn takes(&self, name: &str) -> bool {
        if self.exact { name == self.op } else { name.contains(&self.op) }
    }
}

/// Prints it, unless there will be JSON.
fn tell(line: Line, arguments: &Arguments) -> Result<Line, Report> {
    if !arguments.json {
        terminal::print(&format!("{:14} {:44} {}", line.name, line.title, line.text))?;
    }
    Ok(line)
}

impl Line {
    fn of_op(Outcome { op, title, verdict }: Outcome) -> Self {
        let text = match &verdict {
            Verdict::Passed(error) => format!("ok      {error:.1e}"),
            Verdict::Wrong(error, most) => format!("WRONG   {error:.1e}, at most {most:.1e} is right"),
            Verdict::Failed(reason) => format!("FAILED  {reason}"),
            Verdict::Skipped => "skipped: this card has no such units".to_owned(),
        };
        let (error, error_max) = match verdict {
            Verdict::Passed(error) => (Some(error), None),
            Verdict::Wrong(error, most) => (Some(error), Some(most)),
            Verdict::Failed(_) | Verdict::Skipped => (None, None),
        };
        let skipped = verdict == Verdict::Skipped;
        let passed = skipped || matches!(verdict, Verdict::Passed(_));
        Self { name: op, title, passed, skipped, error, error_max, decibels: None, text }
    }

    fn of_network(name: &'static str, system: &str, result: Result<Nearness, Report>) -> Self {
        let title = system.to_owned();
        let (passed, text) = match &result {
            Ok(nearness) => (nearness.is_right(), nearness.to_string()),
            Err(report) => (false, format!("FAILED  {}", report.message())),
        };
        let (error, error_max, decibels) = match result {
            Ok(Nearness::Error { error, most }) => (Some(error), Some(most), None),
            Ok(Nearness::Decibels(decibels)) => (None, None, Some(decibels)),
            Err(_) => (None, None, None),
        };
        Self { name, title, passed, skipped: false, error, error_max, decibels, text }
    }
}
