//! `probe sigmas`: the noise levels of a run.

use clap::Args;
use serde_json::json;
use vita_base::Report;
use vita_sampling::levels;

use super::schedule;
use crate::terminal;

/// The noise levels of a run.
///
/// Prints JSON: `{"sigmas": [..]}`, from the highest to the last, as f32 values; at most one where
/// there is nothing to run.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    schedule: schedule::Arguments,
}

/// Prints the levels.
///
/// # Errors
/// If a number is out of range.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let sigmas = levels(&arguments.schedule.options())?;
    terminal::print(&json!({ "sigmas": sigmas }).to_string())
}
