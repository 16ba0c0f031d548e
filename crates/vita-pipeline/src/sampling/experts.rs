//! Two experts: a model for high noise, then one for low noise.

use vita_sampling::Flow;

use super::job::{Noise, SampleJob, Sampled, Schedule, Steps, levels_of};
use super::native::sample;
use crate::environment::Environment;
use crate::guidance::Cfg;
use crate::{Error, Transformer};

/// The expert that goes on where the first one stops.
#[derive(Clone)]
pub struct Experts {
    /// The model for low noise.
    pub low: Transformer,
    /// Its guidance.
    pub cfg_low: Cfg,
    /// Where it takes over.
    pub switch: Switch,
}

/// Where the second expert takes over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Switch {
    /// Before this step, from 0.
    Step(usize),
    /// At the first step whose noise level is below this.
    Boundary(f64),
}

impl Switch {
    /// The first step, from 0, that the second expert runs.
    pub fn step(self, sigmas: &[f32]) -> usize {
        let steps = sigmas.len().saturating_sub(1);
        self.step_of(&sigmas[..steps].iter().map(|sigma| sigma * Flow::TIMESTEP_MAX).collect::<Vec<_>>())
    }

    /// The same of timesteps, one a step.
    pub(crate) fn step_of(self, timesteps: &[f32]) -> usize {
        match self {
            Self::Step(step) => step.min(timesteps.len()),
            Self::Boundary(boundary) => {
                let boundary = boundary as f32 * Flow::TIMESTEP_MAX;
                timesteps.iter().take_while(|&&timestep| timestep >= boundary).count()
            }
        }
    }
}

/// Runs a job whose model is the expert for high noise, and hands its latent to the one for low noise: two
/// `KSamplerAdvanced`, one after the other. The second run adds no noise.
///
/// # Errors
/// As [`sample`].
pub fn sample_experts(job: &SampleJob, experts: &Experts, environment: &mut Environment) -> Result<Sampled, Error> {
    let switch = experts.switch.step(&job.levels()?);
    let step_count = job.levels()?.len().saturating_sub(1);
    let low = |job: SampleJob| SampleJob { model: experts.low.clone(), cfg: experts.cfg_low.clone(), ..job };
    if switch == 0 {
        return sample(&low(job.clone()), environment);
    }
    if switch >= step_count {
        return sample(job, environment);
    }
    let (first, second) = split(&job.schedule, &job.sampler, job.model.patches().shift(), switch)?;
    let half = sample(&SampleJob { schedule: first, ..job.clone() }, environment)?;
    let rest = SampleJob { schedule: second, noise: Noise::None, latent: half.latent, ..job.clone() };
    sample(&low(rest), environment)
}

/// The steps before and from `switch` on.
fn split(schedule: &Schedule, sampler: &str, shift: f64, switch: usize) -> Result<(Schedule, Schedule), Error> {
    Ok(match schedule {
        Schedule::Named(steps) if steps.start_step == 0 => {
            let first = Steps { end_step: Some(switch), leftover_noise: true, ..steps.clone() };
            let second = Steps { start_step: switch, ..steps.clone() };
            (Schedule::Named(first), Schedule::Named(second))
        }
        other => {
            let sigmas = levels_of(other, sampler, shift)?;
            (Schedule::Sigmas(sigmas[..=switch].to_vec()), Schedule::Sigmas(sigmas[switch..].to_vec()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundary_is_the_first_step_below_it() {
        let sigmas = [1.0, 0.95, 0.9, 0.875, 0.5, 0.0];
        for (switch, want) in [
            (Switch::Step(2), 2),
            (Switch::Step(99), 5),
            (Switch::Boundary(0.875), 4),
            (Switch::Boundary(0.9), 3),
            (Switch::Boundary(1.1), 0),
            (Switch::Boundary(0.0), 5),
        ] {
            assert_eq!(switch.step(&sigmas), want, "{switch:?}");
        }
    }

    #[test]
    fn a_split_schedule_is_the_whole_one() {
        let whole = Schedule::Named(Steps::new("simple", 8));
        let levels = |schedule: &Schedule| levels_of(schedule, "uni_pc", 8.0).unwrap();
        let all = levels(&whole);
        for schedule in [whole, Schedule::Sigmas(all.clone())] {
            let (first, second) = split(&schedule, "uni_pc", 8.0, 3).unwrap();
            assert_eq!(levels(&first), all[..=3]);
            assert_eq!(levels(&second), all[3..]);
        }
    }
}
