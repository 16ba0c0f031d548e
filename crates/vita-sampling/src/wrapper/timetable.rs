//! Which levels a run goes through, and what the model is told of them.

use super::step::Rule;
use super::{WrapperOptions, WrapperScheduler};
use crate::Error;
use crate::sigmas::beta;

/// Levels and timesteps of the steps that are run.
#[derive(Clone, Debug, PartialEq)]
pub struct Timetable {
    /// One more than the steps.
    pub sigmas: Vec<f32>,
    /// One a step.
    pub timesteps: Vec<f32>,
    /// Where in the whole schedule the run begins.
    pub first_step: usize,
    /// Steps of the whole schedule.
    pub schedule_steps: usize,
    pub(super) rule: Rule,
}

/// How a schedule's levels are made.
pub(super) enum Table {
    /// Shifted in the table that they are spread over, and again (UniPC and DPM++ of the Wan repository).
    Twice { beta: bool },
    /// Shifted at both ends, and again (diffusers' `FlowMatchEulerDiscreteScheduler` with a shift).
    FlowMatch { beta: bool },
    /// Fifty levels, of which some are taken, shifted.
    Longcat,
    /// diffusers' `DEISMultistepScheduler` with flow levels.
    Deis,
    /// From 1 to 0.003 / 1.002 in a thousand, of which some are taken, shifted.
    ResMultistep,
    /// Nine levels of a distilled 14B, four of a 1.3B.
    CausVid,
    /// Four levels of a distilled model, shifted.
    Distill,
    /// Evenly from 1 to 0 in up to ten steps, along a cosine in more, shifted.
    SaOde,
    /// Up to four angles of a circle, as levels; more steps are not there.
    Rcm,
    /// diffusers' `UniPCMultistepScheduler` with flow levels.
    Vibt,
}

/// Steps of the training schedule.
const TRAIN: usize = 1000;

/// Most steps, as of the wrapper's node.
const STEPS_MAX: usize = 10_000;

impl Timetable {
    /// The steps that a run of these settings takes.
    ///
    /// # Errors
    /// If a name is unknown, a number is out of range, or the schedule is for another number of steps.
    pub fn new(options: &WrapperOptions) -> Result<Self, Error> {
        let scheduler = WrapperScheduler::named(&options.scheduler)?;
        if !(1..=STEPS_MAX).contains(&options.steps) {
            return Err(Error::Number { what: "steps", value: options.steps.to_string(), range: "1 to 10000" });
        }
        if !(options.shift.is_finite() && options.shift > 0.0) {
            return Err(Error::Number { what: "shift", value: options.shift.to_string(), range: "a number above 0" });
        }
        if !(0.0..=1.0).contains(&options.denoise) {
            return Err(Error::Number {
                what: "denoise_strength",
                value: options.denoise.to_string(),
                range: "0 to 1",
            });
        }
        let (sigmas, timesteps) = match &options.sigmas {
            Some(sigmas) => own(scheduler, sigmas)?,
            None => scheduler.table.levels(scheduler.name, options)?,
        };
        let steps = timesteps.len();
        let mut first = options.start_step;
        if options.denoise < 1.0 {
            first = steps.saturating_sub((steps as f64 * options.denoise) as usize + 1);
        }
        let end = options.end_step.unwrap_or(steps);
        if first >= end || end > steps {
            return Err(Error::StepRange { first, end, steps });
        }
        Ok(Self {
            sigmas: sigmas[first..=end].to_vec(),
            timesteps: timesteps[first..end].to_vec(),
            first_step: first,
            schedule_steps: steps,
            rule: scheduler.rule,
        })
    }
}

/// Levels that the caller chose; their timesteps are whole numbers whatever the scheduler.
fn own(scheduler: &WrapperScheduler, sigmas: &[f32]) -> Result<(Vec<f32>, Vec<f32>), Error> {
    if matches!(scheduler.table, Table::CausVid | Table::Distill | Table::Rcm | Table::Vibt) {
        return Err(Error::FixedSchedule { name: scheduler.name });
    }
    if sigmas.len() < 2 || !sigmas.iter().all(|sigma| (0.0..=1.0).contains(sigma)) {
        return Err(Error::Number { what: "sigmas", value: format!("{sigmas:?}"), range: "two or more of 0 to 1" });
    }
    let timesteps = sigmas[..sigmas.len() - 1].iter().map(|sigma| (sigma * 1000.0).trunc()).collect();
    Ok((sigmas.to_vec(), timesteps))
}

impl Table {
    /// Levels with their last, and timesteps.
    fn levels(&self, name: &'static str, options: &WrapperOptions) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let (steps, shift) = (options.steps, options.shift);
        let levels: Vec<f64> = match *self {
            Self::Twice { beta } => {
                // The table's highest level is 0.999; its lowest is 0.
                let highest = f64::from(shifted(shift, 1.0 - 1.0 / TRAIN as f64) as f32);
                let levels = linspace(highest, 0.0, steps + 1).map(|level| shifted(shift, level));
                with_beta(beta, levels.take(steps).collect())
            }
            Self::FlowMatch { beta } => {
                let [highest, lowest] = [1.0, 1.0 / TRAIN as f64].map(|level| f64::from(shifted(shift, level) as f32));
                // Through timesteps and back, in the rounding of f32.
                let levels = linspace(highest, lowest, steps).map(|level| shifted(shift, level));
                with_beta(beta, levels.collect())
            }
            Self::Longcat => {
                const LEVELS: usize = 50;
                let place = |i: usize| (i as f64 * LEVELS as f64 / steps as f64).floor() as usize;
                let level = |i: usize| ((LEVELS - place(i)) * (TRAIN / LEVELS)) as f64 / TRAIN as f64;
                (0..steps).map(|i| shifted(shift, level(i))).collect()
            }
            Self::Deis => {
                let alphas = linspace(1.0, 1.0 / TRAIN as f64, steps + 1);
                let mut levels: Vec<f64> = alphas.map(|alpha| shifted(shift, 1.0 - alpha)).collect();
                levels.reverse();
                levels.truncate(steps);
                levels
            }
            Self::ResMultistep => {
                let lowest = 0.003 / 1.002;
                let place = |i: usize| ((i * TRAIN) as f64 / steps as f64).round_ties_even() as usize;
                let level = |place: usize| 1.0 + (lowest - 1.0) * place as f64 / (TRAIN - 1) as f64;
                (0..steps).map(|i| shifted(shift, level(place(i)))).collect()
            }
            Self::CausVid => {
                let timesteps: &[f64] = match options.model_dim {
                    5120 => &[999.0, 934.0, 862.0, 756.0, 603.0, 410.0, 250.0, 140.0, 74.0],
                    _ => &[1000.0, 750.0, 500.0, 250.0],
                };
                if steps > timesteps.len() || (options.model_dim != 5120 && steps != timesteps.len()) {
                    return Err(Error::FixedSteps { name, steps, most: timesteps.len() });
                }
                timesteps[..steps].iter().map(|timestep| timestep / 1000.0).collect()
            }
            Self::Distill => {
                const PLACES: [f64; 4] = [999.0, 750.0, 500.0, 250.0];
                if steps != PLACES.len() {
                    return Err(Error::FixedSteps { name, steps, most: PLACES.len() });
                }
                PLACES.iter().map(|place| shifted(shift, place / 1000.0)).collect()
            }
            Self::SaOde => {
                let level = |share: f64| match steps {
                    ..=10 => 1.0 - share,
                    _ => 0.5 * (1.0 + (std::f64::consts::PI * share).cos()),
                };
                (0..steps).map(|i| shifted(shift, level(i as f64 / steps as f64))).collect()
            }
            Self::Vibt => {
                // A level of 1 has no signal: it is moved below.
                const HIGHEST: f64 = 1.0 - 1e-6;
                let levels = linspace(1.0, 1.0 / TRAIN as f64, steps + 1).take(steps);
                levels.map(|level| shifted(shift, level).min(HIGHEST)).collect()
            }
            Self::Rcm => {
                let angles = [120f64.atan(), 1.5, 1.4, 1.0].into_iter().take(steps);
                angles.map(|angle| angle.sin() / (angle.sin() + angle.cos())).collect()
            }
        };
        let sigmas: Vec<f32> = levels.iter().map(|&level| level as f32).collect();
        let timesteps = match self {
            // Cut to whole numbers, before the levels are rounded to f32.
            Self::Twice { .. } => levels.iter().map(|level| (level * 1000.0).trunc() as f32).collect(),
            Self::Deis | Self::Vibt => levels.iter().map(|level| (level * 1000.0).trunc() as f32).collect(),
            _ => sigmas.iter().map(|sigma| sigma * 1000.0).collect(),
        };
        let last = if matches!(self, Self::Deis) { 1e-6 } else { 0.0 };
        Ok((sigmas.into_iter().chain([last]).collect(), timesteps))
    }
}

fn shifted(shift: f64, level: f64) -> f64 {
    shift * level / (1.0 + (shift - 1.0) * level)
}

/// `numpy.linspace`
fn linspace(first: f64, last: f64, count: usize) -> impl Iterator<Item = f64> {
    let step = (last - first) / (count.max(2) - 1) as f64;
    (0..count).map(move |i| if i > 0 && i == count - 1 { last } else { first + step * i as f64 })
}

/// The same ends, with levels between them as dense as the beta distribution (0.6, 0.6).
fn with_beta(beta: bool, levels: Vec<f64>) -> Vec<f64> {
    if !beta {
        return levels;
    }
    let (highest, lowest) = (levels[0], levels[levels.len() - 1]);
    let shares = linspace(0.0, 1.0, levels.len()).map(|share| beta::quantile(1.0 - share));
    shares.map(|share| lowest + share * (highest - lowest)).collect()
}
