//! `selftest`: every kernel of a card held to its reference.

use std::sync::Arc;

use clap::Args;
use vita_base::Report;
use vita_cuda::cublaslt::CublasLt;
use vita_cuda::cudnn::Cudnn;
use vita_cuda::machine::{Driver, Gpu, Machine};
use vita_cuda::memory::Pool;
use vita_cuda::selftest::{self, Outcome, Verdict};

use crate::cuda::{self, Device};
use crate::terminal;

/// Hold every kernel of a card to its slow reference, and print the relative errors.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The card: `cuda`, or `cuda:1` for the second.
    #[arg(long, default_value = "cuda", value_name = "DEVICE")]
    device: Device,
    /// Only ops whose name contains this.
    #[arg(long, default_value = "", value_name = "TEXT")]
    op: String,
}

/// Runs the cases.
///
/// # Errors
/// If there is no such card, or a case fails.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let Device::Cuda(index) = arguments.device else {
        return Err(
            Report::new("the processor has no kernels to compile").with_hint("its ops are held by `cargo test`")
        );
    };
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
    cases.retain(|case| case.op.contains(&arguments.op));
    let outcomes = selftest::run_cases(&pool, cases);
    if outcomes.is_empty() {
        return Err(Report::new(format!("no op's name contains `{}`", arguments.op)));
    }
    terminal::print(&outcomes.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    let failed = outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Wrong(..) | Verdict::Failed(_)));
    match failed.count() {
        0 => Ok(()),
        failed => Err(Report::new(format!("{failed} of {} cases failed", outcomes.len()))),
    }
}

fn line(Outcome { op, title, verdict }: &Outcome) -> String {
    let verdict = match verdict {
        Verdict::Passed(error) => format!("ok      {error:.1e}"),
        Verdict::Wrong(error, most) => format!("WRONG   {error:.1e}, at most {most:.1e} is right"),
        Verdict::Failed(reason) => format!("FAILED  {reason}"),
        Verdict::Skipped => "skipped: this card has no such units".to_owned(),
    };
    format!("{op:12} {title:44} {verdict}")
}
