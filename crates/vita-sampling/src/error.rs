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
    /// Fewer steps than a schedule or solver is defined for.
    #[error("`{name}` needs at least {steps_min} steps, and {steps} are asked for")]
    TooFewSteps {
        /// The schedule or solver.
        name: &'static str,
        /// What was asked for.
        steps: usize,
        /// What would do.
        steps_min: usize,
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
            _ => None,
        }
    }
}
