//! What can be wrong with a sampling run's settings.

use vita_base::Hint;

use crate::{SCHEDULERS, SOLVERS};

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
            Self::NeedsUncond { name } => Some(format!("take `{}`", name.trim_end_matches("_cfg_pp"))),
            Self::Number { .. } => None,
        }
    }
}
