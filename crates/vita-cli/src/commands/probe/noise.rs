//! `probe noise`: what PyTorch draws from a seed.

use clap::Args;
use vita_base::Report;
use vita_sampling::noise::Generator;

use super::files::Outputs;
use crate::arguments::Shape;

/// The noise that a run starts from.
///
/// Result: what `torch.randn(shape, generator=torch.Generator().manual_seed(seed))` gives, bit for bit.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Seed, of which the low 32 bits count.
    #[arg(long, value_name = "N")]
    seed: u64,
    /// Shape, outermost axis first, such as 1,16,5,30,52.
    #[arg(long, value_name = "N,N,...")]
    shape: Shape,
    #[command(flatten)]
    outputs: Outputs,
}

/// Draws.
///
/// # Errors
/// If the result cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    arguments.outputs.write(&Generator::new(arguments.seed).randn(&arguments.shape.0[..]))
}
