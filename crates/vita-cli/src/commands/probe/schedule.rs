//! Flags of a sampling run, as `probe sample` and `probe sigmas` share them.

use clap::Args;
use clap::builder::PossibleValuesParser;
use vita_pipeline::Steps;
use vita_sampling::{SCHEDULERS, SOLVERS, SampleOptions};

/// Which noise levels, and how from one to the next.
#[derive(Args, Debug)]
#[group(skip)]
pub struct Arguments {
    /// Solver; some drop the second-to-last level.
    #[arg(long, value_name = "S", default_value = "euler", value_parser = PossibleValuesParser::new(SOLVERS.iter().map(|s| s.name)))]
    sampler: String,
    /// Schedule of noise levels.
    #[arg(long, value_name = "S", default_value = "simple", value_parser = PossibleValuesParser::new(SCHEDULERS.iter().map(|s| s.name)))]
    scheduler: String,
    /// Steps of the whole schedule, 1 to 10000.
    #[arg(long, value_name = "N")]
    steps: usize,
    /// Flow shift, above 0.
    #[arg(long, value_name = "F", default_value_t = 1.0, allow_negative_numbers = true)]
    shift: f64,
    /// Share of the schedule that is run, from its end, 0 to 1.
    #[arg(long, value_name = "F", default_value_t = 1.0, allow_negative_numbers = true)]
    denoise: f64,
    /// First step that is run, from 0.
    #[arg(long, value_name = "N", default_value_t = 0)]
    start_step: usize,
    /// First step that is not run; all are if not given.
    #[arg(long, value_name = "N")]
    end_step: Option<usize>,
    /// Leave the noise of the last level in when the run ends early.
    #[arg(long)]
    leftover_noise: bool,
}

impl Arguments {
    /// The flags as the library takes them.
    pub fn options(&self) -> SampleOptions {
        SampleOptions {
            sampler: self.sampler.clone(),
            scheduler: self.scheduler.clone(),
            steps: self.steps,
            shift: self.shift,
            seed: 0,
            denoise: self.denoise,
            start_step: self.start_step,
            end_step: self.end_step,
            add_noise: true,
            leftover_noise: self.leftover_noise,
        }
    }

    /// The solver's name.
    pub fn sampler(&self) -> &str {
        &self.sampler
    }

    /// The flow shift.
    pub fn shift(&self) -> f64 {
        self.shift
    }

    /// The flags as a pipeline takes them.
    pub fn steps(&self) -> Steps {
        let Self { scheduler, steps, denoise, start_step, end_step, leftover_noise, .. } = self;
        Steps {
            scheduler: scheduler.clone(),
            steps: *steps,
            denoise: *denoise,
            start_step: *start_step,
            end_step: *end_step,
            leftover_noise: *leftover_noise,
        }
    }
}
