//! Schedules: which noise levels a run goes through.

pub(crate) mod beta;
mod ddim_uniform;
mod exponential;
mod karras;
mod kl_optimal;
mod linear_quadratic;
mod normal;
mod simple;

use crate::{Error, Flow};

/// A schedule by name.
pub struct Scheduler {
    /// ComfyUI's name.
    pub name: &'static str,
    /// Fewest steps that it is defined for.
    steps_min: usize,
    /// Levels of a number of steps, the final 0 included.
    levels: fn(&Flow, usize) -> Vec<f32>,
}

/// Every schedule, in ComfyUI's order.
pub const SCHEDULERS: &[Scheduler] = &[
    Scheduler { name: "simple", steps_min: 1, levels: simple::levels },
    Scheduler { name: "sgm_uniform", steps_min: 1, levels: normal::sgm_uniform_levels },
    Scheduler { name: "karras", steps_min: 1, levels: karras::levels },
    Scheduler { name: "exponential", steps_min: 1, levels: exponential::levels },
    Scheduler { name: "ddim_uniform", steps_min: 1, levels: ddim_uniform::levels },
    Scheduler { name: "beta", steps_min: 1, levels: beta::levels },
    Scheduler { name: "normal", steps_min: 1, levels: normal::levels },
    Scheduler { name: "linear_quadratic", steps_min: 1, levels: linear_quadratic::levels },
    Scheduler { name: "kl_optimal", steps_min: 2, levels: kl_optimal::levels },
];

impl Scheduler {
    /// Most steps: the 10 000 of ComfyUI's nodes, where `denoise` may be a hundredth.
    pub const STEPS_MAX: usize = 1_000_000;

    /// The schedule of a name.
    ///
    /// # Errors
    /// If there is none; the hint lists those there are.
    pub fn named(name: &str) -> Result<&'static Self, Error> {
        let found = SCHEDULERS.iter().find(|scheduler| scheduler.name == name);
        found.ok_or_else(|| Error::UnknownScheduler { name: name.into() })
    }

    /// Noise levels from the highest to the final 0. Usually `steps + 1`; `ddim_uniform` gives what its stride
    /// gives, and `beta` drops levels that coincide.
    ///
    /// # Errors
    /// If the number of steps is none that this schedule has.
    pub fn levels(&self, flow: &Flow, steps: usize) -> Result<Vec<f32>, Error> {
        if steps > Self::STEPS_MAX {
            return Err(Error::Number { what: "steps", value: steps.to_string(), range: "1 to 1000000" });
        }
        if steps < self.steps_min {
            return Err(Error::TooFewSteps { name: self.name, steps, steps_min: self.steps_min });
        }
        Ok((self.levels)(flow, steps))
    }
}

/// `torch.linspace` of `f32`: counted from the nearer end.
fn linspace(first: f32, last: f32, count: usize) -> impl Iterator<Item = f32> {
    let step = (last - first) / (count.max(2) - 1) as f32;
    (0..count).map(move |i| match i < count / 2 || count == 1 {
        true => first + step * i as f32,
        false => last - step * (count - 1 - i) as f32,
    })
}

/// The levels and the final 0.
fn ending_in_zero(levels: impl Iterator<Item = f32>) -> Vec<f32> {
    levels.chain([0.0]).collect()
}
