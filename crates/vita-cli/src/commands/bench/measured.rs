//! What was measured of a network, and how.

use std::io::BufRead;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;
use vita_base::{Report, bytes_text};
use vita_cuda::Card;

use crate::{machine, terminal};

/// What was measured.
#[derive(Serialize)]
pub struct Measured {
    /// Of the fastest run.
    pub seconds_min: f64,
    /// Of the run in the middle.
    pub seconds_median: f64,
    /// Of the fastest run, in 10^9 floating-point operations a second.
    pub gflops: f64,
    /// Of the process, mapped weights included; not known on all systems.
    peak_rss_bytes: Option<u64>,
    /// Floating-point operations of one run, counted: two for a multiplication and its addition.
    flops: f64,
    /// Reading and packing the weights, and bringing them to the card.
    load_seconds: f64,
    /// Weights as they are kept in memory.
    weight_bytes: usize,
    /// `cpu`, or the card's name.
    device: String,
    /// What a card was seen to do, and what was taken of it.
    card: Option<OnCard>,
    /// Every run, in order.
    seconds: Vec<f64>,
}

/// What is known of a run on a card.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OnCard {
    /// The most that was taken of its memory, of this program's own allocator.
    pub bytes_peak: u64,
    /// Plain products of bf16 matrices, just before, in 10^9 operations a second.
    pub matrix_gflops: f64,
    /// The run in the middle beside that rate: model FLOPs utilisation.
    pub utilisation: f64,
    /// Blocks that were brought to the card each time they ran.
    pub swapped_blocks: usize,
}

/// When a network runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many times, one after the other.
    Times(u32),
    /// Once for each line on stdin. Each run's seconds are told as a line of JSON, so that whoever asks can have
    /// something else work between.
    Asked,
}

/// Seconds of each run, after one that is not counted where kernels must be compiled.
///
/// # Errors
/// If a run fails, or is never asked for.
pub fn time<T, E: Into<Report>>(
    pace: Pace,
    warm_up: bool,
    mut run: impl FnMut() -> Result<T, E>,
) -> Result<Vec<f64>, Report> {
    if warm_up {
        run().map_err(Into::into)?;
    }
    match pace {
        Pace::Times(times) => (0..times).map(|_| Ok(timed(&mut run)?.1)).collect(),
        Pace::Asked => {
            terminal::print(&json!({ "ready": true }).to_string())?;
            let mut seconds = Vec::new();
            for line in std::io::stdin().lock().lines() {
                line.map_err(|error| Report::new(format!("cannot read stdin: {error}")))?;
                let took = timed(&mut run)?.1;
                seconds.push(took);
                terminal::print(&json!({ "seconds": took }).to_string())?;
            }
            if seconds.is_empty() {
                return Err(Report::new("stdin ended before a run was asked for")
                    .with_hint("leave --asked out to run --repeat times"));
            }
            Ok(seconds)
        }
    }
}

/// What some work gives, and its seconds.
///
/// # Errors
/// Those of the work.
pub fn timed<T, E: Into<Report>>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, f64), Report> {
    let start = Instant::now();
    let result = work().map_err(Into::into)?;
    Ok((result, start.elapsed().as_secs_f64()))
}

impl Measured {
    /// seconds: of each run, at least one.
    pub fn new(seconds: Vec<f64>, flops: f64, load_seconds: f64, weight_bytes: usize) -> Self {
        let mut sorted = seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let (seconds_min, seconds_median) = (sorted[0], sorted[sorted.len() / 2]);
        Self {
            seconds_min,
            seconds_median,
            gflops: flops / seconds_min / 1e9,
            peak_rss_bytes: machine::peak_rss_bytes(),
            flops,
            load_seconds,
            weight_bytes,
            device: "cpu".to_owned(),
            card: None,
            seconds,
        }
    }

    /// The same, on a card if there is one. matrix_gflops: its rate of plain products.
    pub fn on(self, card: Option<&Card>, matrix_gflops: f64, swapped_blocks: usize) -> Self {
        let Some(card) = card else { return self };
        let utilisation = self.flops / self.seconds_median / 1e9 / matrix_gflops;
        let bytes_peak = card.pool().stats().held_bytes_peak;
        let device = card.machine().properties().name.clone();
        Self { device, card: Some(OnCard { bytes_peak, matrix_gflops, utilisation, swapped_blocks }), ..self }
    }

    /// In a line or two.
    pub fn text(&self) -> String {
        let peak = self.peak_rss_bytes.map_or_else(|| "unknown".to_owned(), bytes_text);
        let on_card = self.card.map(|card| card.text(&self.device)).unwrap_or_default();
        format!(
            "{:.3} s at best, {:.3} s in the middle of {}; {:.1} GFLOP/s; peak memory {peak}; weights {}, loaded in {:.2} s{on_card}",
            self.seconds_min,
            self.seconds_median,
            self.seconds.len(),
            self.gflops,
            bytes_text(self.weight_bytes as u64),
            self.load_seconds,
        )
    }
}

impl OnCard {
    fn text(&self, device: &str) -> String {
        let swapped = match self.swapped_blocks {
            0 => String::new(),
            count => format!(", {count} blocks brought there each time"),
        };
        format!(
            "\non {device}: {} at most{swapped}; {:.1} % of the {:.0} GFLOP/s of plain products of bf16 matrices",
            bytes_text(self.bytes_peak),
            100.0 * self.utilisation,
            self.matrix_gflops,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_the_sorted_runs() {
        let measured = Measured::new(vec![3.0, 1.0, 2.0, 9.0, 8.0], 4e9, 0.0, 0);
        assert_eq!((measured.seconds_min, measured.seconds_median, measured.gflops), (1.0, 3.0, 4.0));
    }

    #[test]
    fn the_first_run_on_a_card_is_not_counted_and_a_failure_ends_it() {
        let mut runs = 0;
        let mut run = || {
            runs += 1;
            if runs < 5 { Ok(()) } else { Err(Report::new("no more")) }
        };
        assert_eq!(time(Pace::Times(3), true, &mut run).unwrap().len(), 3);
        let error = time(Pace::Times(3), false, &mut run).unwrap_err();
        assert_eq!((error.message(), runs), ("no more", 5));
    }

    #[test]
    fn what_was_seen_of_a_card_is_told() {
        let card = OnCard { bytes_peak: 3 << 30, matrix_gflops: 800_000.0, utilisation: 0.6543, swapped_blocks: 0 };
        let text = "\non H200: 3.00 GiB at most; 65.4 % of the 800000 GFLOP/s of plain products of bf16 matrices";
        assert_eq!(card.text("H200"), text);
        let text = OnCard { swapped_blocks: 7, ..card }.text("H200");
        assert!(text.contains("at most, 7 blocks brought there each time; "), "{text}");
    }
}
