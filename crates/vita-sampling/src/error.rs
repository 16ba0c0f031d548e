//! What can be wrong with a sampling run's settings.

use vita_base::Hint;

use crate::{SCHEDULERS, SOLVERS, WRAPPER_SCHEDULERS};

/// Settings that no run can have.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No solver has this name.
    #[error("no sampler is called `{name}`")]
    UnknownSampler {
        /// What was asked for.
        name: String,
    },
    /// No schedule has this name.
    #[error("no scheduler is called `{name}`")]
    UnknownScheduler {
        /// What was asked for.
        name: String,
    },
    /// A number outside its range.
    #[error("{what} is {value}; it must be {range}")]
    Number {
        /// Which.
        what: &'static str,
        /// What was asked for.
        value: String,
        /// What would do.
        range: &'static str,
    },
    /// The end of a schedule that is too long to make.
    #[error(
        "{steps} steps at denoise {denoise} are the end of a schedule of {schedule_steps} steps; \
         at most {schedule_steps_max} are possible"
    )]
    LongSchedule {
        /// Steps that were asked for.
        steps: usize,
        /// Share of the schedule that they are.
        denoise: f64,
        /// Steps of the whole schedule.
        schedule_steps: usize,
        /// What would do.
        schedule_steps_max: usize,
    },
    /// Fewer steps than a schedule or solver is defined for.
    #[error("`{name}` takes at least {steps_min} steps, here {steps} would be run")]
    TooFewSteps {
        /// The schedule or solver.
        name: &'static str,
        /// What was asked for.
        steps: usize,
        /// What would do.
        steps_min: usize,
    },
    /// A scheduler name that the wrapper does not have, or that only other models run on.
    #[error("no scheduler of the Wan wrapper is called `{name}`, or it is for another model")]
    UnknownWrapperScheduler {
        /// What was asked for.
        name: String,
    },
    /// A range of steps that is empty or goes beyond the schedule.
    #[error("steps {first} to {end} of a schedule of {steps} are none")]
    StepRange {
        /// First step, from 0.
        first: usize,
        /// First step that is not run.
        end: usize,
        /// Steps of the schedule.
        steps: usize,
    },
    /// Levels of one's own for a schedule that has its own.
    #[error("`{name}` has levels of its own and takes no others")]
    FixedSchedule {
        /// The scheduler.
        name: &'static str,
    },
    /// A number of steps that a distilled schedule does not have.
    #[error("`{name}` is made for {most} steps, not {steps}")]
    FixedSteps {
        /// The scheduler.
        name: &'static str,
        /// What was asked for.
        steps: usize,
        /// What it has.
        most: usize,
    },
    /// A solver of the CFG++ kind where only the guided latent is at hand.
    #[error("`{name}` goes by the negative prompt's latent, which this run does not make")]
    NeedsUncond {
        /// The solver.
        name: &'static str,
    },
}

impl Hint for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownSampler { .. } => {
                let names: Vec<&str> = SOLVERS.iter().map(|solver| solver.name).collect();
                Some(format!("the samplers are: {}", names.join(", ")))
            }
            Self::UnknownScheduler { .. } => {
                let names: Vec<&str> = SCHEDULERS.iter().map(|scheduler| scheduler.name).collect();
                Some(format!("the schedulers are: {}", names.join(", ")))
            }
            Self::TooFewSteps { .. } => {
                Some("ask for more steps, a wider range of them, or another sampler or scheduler".into())
            }
            Self::LongSchedule { .. } => Some("use a larger denoise, or 0 to keep the latent as it is".into()),
            Self::UnknownWrapperScheduler { .. } => {
                let names: Vec<&str> = WRAPPER_SCHEDULERS.iter().map(|scheduler| scheduler.name).collect();
                Some(format!("the schedulers are: {}", names.join(", ")))
            }
            Self::StepRange { .. } => Some("let the first step be below the end, and the end at most the steps".into()),
            Self::FixedSchedule { .. } => Some("leave the levels away, or take another scheduler".into()),
            Self::FixedSteps { most, .. } => Some(format!("ask for {most} steps, or take another scheduler")),
            Self::NeedsUncond { name } => Some(format!("take `{}`", name.trim_end_matches("_cfg_pp"))),
            Self::Number { .. } => None,
        }
    }
}
