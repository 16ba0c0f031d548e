//! Load on the server over loopback, where wanted with ComfyUI beside it, in turns.

mod prompts;
mod rates;
mod side;
mod sockets;

use std::path::{Path, PathBuf};
use std::time::Duration;

use vita_base::Report;

use crate::program::beside;
use side::{Side, Which};

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Our program [default: the one built beside this].
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Folder of ComfyUI's source, to measure it in the same run.
    #[arg(long, requires = "python")]
    comfyui: Option<PathBuf>,
    /// Python that has what ComfyUI needs.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Turns of each; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement of requests.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// WebSockets that are open at once.
    #[arg(long, default_value_t = 500)]
    sockets: usize,
    /// Prompts that slow readers of all messages meet.
    #[arg(long, default_value_t = 5000)]
    slow_prompts: usize,
}

/// One number of a server, and what it has to reach.
struct Measure {
    name: &'static str,
    /// Of ComfyUI 0.8.0 on such a machine, measured earlier: used where it does not run beside ours.
    stated: Option<f64>,
    goal: Goal,
}

enum Goal {
    /// So many times ComfyUI's.
    Times(f64),
    /// Less than that, in the measure's unit.
    Below(f64),
}

/// In the order of [`Numbers`].
const MEASURES: &[Measure] = &[
    Measure { name: "first start in an empty folder, ms", stated: Some(14_100.0), goal: Goal::Below(100.0) },
    Measure { name: "start again, ms", stated: Some(14_100.0), goal: Goal::Below(100.0) },
    Measure { name: "resident when idle, MB", stated: Some(912.0 * 1.048_576), goal: Goal::Below(40.0) },
    Measure { name: "GET /queue, a second", stated: Some(7580.0), goal: Goal::Times(4.0) },
    Measure { name: "rejected POST /prompt, a second", stated: Some(2146.0), goal: Goal::Times(6.0) },
    Measure { name: "small prompts done, a second", stated: Some(196.0), goal: Goal::Times(5.0) },
];

/// One value a measure.
type Numbers = [f64; MEASURES.len()];

/// Measures, prints, and says whether the goals are reached.
///
/// # Errors
/// If a server cannot be used, a message was lost, or a goal is missed.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let ours = Which::Ours { binary: arguments.binary.clone().unwrap_or_else(beside) };
    let theirs = match (&arguments.comfyui, &arguments.python) {
        (Some(folder), Some(python)) => Some(Which::Comfyui { folder: folder.clone(), python: python.clone() }),
        _ => None,
    };
    let scratch = tempfile::tempdir().map_err(|error| Report::new(format!("no temporary folder: {error}")))?;
    let scratch = scratch.path();
    let (mut our_numbers, mut their_numbers) = (Vec::new(), Vec::new());
    for round in 0..arguments.rounds.max(1) {
        println!("round {}", round + 1);
        our_numbers.push(measure(&ours, scratch, arguments)?);
        if let Some(theirs) = &theirs {
            their_numbers.push(measure(theirs, scratch, arguments)?);
        }
    }
    let is_reached = print_table(&our_numbers, &their_numbers);
    let are_sockets_right = sockets(&ours, scratch, arguments)?;
    match is_reached && are_sockets_right {
        true => Ok(()),
        false => Err(Report::new("a goal was missed")),
    }
}

fn measure(which: &Which, scratch: &Path, arguments: &Arguments) -> Result<Numbers, Report> {
    let (mut side, first_start) = Side::start(which, scratch)?;
    let second_start = side.restart()?;
    std::thread::sleep(Duration::from_secs(1));
    let resident = side.resident_bytes().map_or(f64::NAN, |bytes| bytes as f64 / 1e6);
    let numbers = [
        first_start.as_secs_f64() * 1e3,
        second_start.as_secs_f64() * 1e3,
        resident,
        rates::gets(&side, "/queue", arguments.seconds)?,
        rates::posts(&side, "/prompt", &prompts::rejected(), arguments.seconds)?,
        rates::prompts_done(&side)?,
    ];
    side.stop();
    println!("  {:8} {numbers:.1?}", which.name());
    Ok(numbers)
}

fn print_table(ours: &[Numbers], theirs: &[Numbers]) -> bool {
    let source = if theirs.is_empty() { "stated, not of this run" } else { "same run" };
    println!("\n{:36} {:>10} {:>10} {:>8}  goal", "median", "ours", "ComfyUI", "ratio");
    let mut is_reached = true;
    for (i, measure) in MEASURES.iter().enumerate() {
        let ours = median(ours.iter().map(|numbers| numbers[i]).collect());
        let theirs = match theirs {
            [] => measure.stated.unwrap_or(f64::NAN),
            theirs => median(theirs.iter().map(|numbers| numbers[i]).collect()),
        };
        let ratio = ours / theirs;
        let (is_good, goal) = match measure.goal {
            Goal::Times(times) => (ratio >= times, format!("at least {times} times")),
            Goal::Below(limit) => (ours < limit, format!("below {limit}")),
        };
        let verdict = if is_good { "reached" } else { "MISSED" };
        println!("{:36} {ours:10.1} {theirs:10.1} {ratio:8.3}  {goal}: {verdict}", measure.name);
        is_reached &= is_good;
    }
    println!("ComfyUI's numbers: {source}");
    is_reached
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (below, above) = ((values.len() - 1) / 2, values.len() / 2);
    (values[below] + values[above]) / 2.0
}

fn sockets(which: &Which, scratch: &Path, arguments: &Arguments) -> Result<bool, Report> {
    let (mut side, _) = Side::start(which, scratch)?;
    let many = sockets::many(&side, arguments.sockets)?;
    println!("\n{many}");
    let slow = sockets::slow_beside_fast(&side, arguments.slow_prompts)?;
    println!("{slow}");
    side.stop();
    Ok(many.is_right() && slow.is_right())
}
