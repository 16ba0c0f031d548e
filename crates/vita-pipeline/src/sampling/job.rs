//! What a sampling run is asked to do.

use vita_sampling::noise::Generator;
use vita_sampling::{Flow, SampleOptions, Scheduler, Solver, levels};
use vita_tensor::{Dims, Tensor};

use crate::guidance::Cfg;
use crate::{Conditioning, Error, Latent, Transformer};

/// A sampling run.
#[derive(Clone)]
pub struct SampleJob {
    /// Which network, at which shift.
    pub model: Transformer,
    /// What should be seen.
    pub positive: Conditioning,
    /// What should not; needed unless guidance is 1 at every step.
    pub negative: Option<Conditioning>,
    /// How strongly the prompt is followed.
    pub cfg: Cfg,
    /// Name of the solver.
    pub sampler: String,
    /// The noise levels.
    pub schedule: Schedule,
    /// What the first level's noise is.
    pub noise: Noise,
    /// Seed of the noise of single steps.
    pub seed: u64,
    /// What to start from; zeros for nothing.
    pub latent: Latent,
}

/// The noise levels of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Of a scheduler by name, as `KSampler` and `KSamplerAdvanced` take it.
    Named(Steps),
    /// From the first to the last, as `SamplerCustom` takes them.
    Sigmas(Vec<f32>),
}

/// Steps of a schedule that has a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// Name of the schedule.
    pub scheduler: String,
    /// Steps of the whole schedule.
    pub steps: usize,
    /// Share of the schedule that is run, from its end.
    pub denoise: f64,
    /// First step that is run, from 0.
    pub start_step: usize,
    /// First step that is not run; `None` runs to the end.
    pub end_step: Option<usize>,
    /// Whether a run that ends early leaves its last level's noise in.
    pub leftover_noise: bool,
}

/// The noise that a run starts from.
#[derive(Clone, Debug)]
pub enum Noise {
    /// None: the latent has it already.
    None,
    /// Drawn from a seed, as PyTorch draws it on a processor.
    Seed(u64),
    /// Latent `index` of `count` whose noise is drawn from a seed in one go.
    OfBatch {
        /// The seed of all.
        seed: u64,
        /// From 0.
        index: usize,
        /// At least 1.
        count: usize,
    },
    /// Made elsewhere, of the latent's shape.
    Given(Tensor),
}

/// What a run made.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// The latent at the last level.
    pub latent: Latent,
    /// The denoised latent of the last step; the latent itself where no step was run.
    pub denoised: Latent,
    /// How much the network was asked.
    pub passes: Passes,
}

/// Passes through the network in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    /// How many the steps asked for.
    pub asked: usize,
    /// How many of them a cache answered, whose blocks were left out.
    pub skipped: usize,
}

impl Steps {
    /// A whole schedule.
    pub fn new(scheduler: &str, steps: usize) -> Self {
        Self { scheduler: scheduler.into(), steps, denoise: 1.0, start_step: 0, end_step: None, leftover_noise: false }
    }
}

impl SampleJob {
    /// The noise levels, from the first to the last; at most one where there is nothing to do.
    ///
    /// # Errors
    /// If a name is unknown, or a number is out of range.
    pub fn levels(&self) -> Result<Vec<f32>, Error> {
        levels_of(&self.schedule, &self.sampler, self.model.patches().shift())
    }

    /// The solver.
    pub(crate) fn solver(&self) -> Result<&'static Solver, Error> {
        Ok(Solver::named(&self.sampler)?)
    }
}

impl Noise {
    /// Noise for a latent of a shape; `None` where none is to be added.
    ///
    /// # Errors
    /// If noise made elsewhere has another shape.
    pub(crate) fn draw(&self, dims: Dims) -> Result<Option<Tensor>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Seed(seed) => Ok(Some(Generator::new(*seed).randn(dims))),
            &Self::OfBatch { seed, index, count } => {
                let all: Vec<usize> = [count.max(index + 1)].into_iter().chain(dims.iter().copied()).collect();
                Ok(Some(Generator::new(seed).randn(&all[..]).select(0, index)))
            }
            Self::Given(noise) if noise.dims() == dims => Ok(Some(noise.clone())),
            Self::Given(noise) => {
                let (found, expected) = (noise.dims().to_string(), dims.to_string());
                Err(Error::Shapes { what: "noise", found, other: "latent", expected })
            }
        }
    }
}

/// The noise levels of a schedule, for a solver and a shift.
///
/// # Errors
/// If a name is unknown, or a number is out of range.
pub(crate) fn levels_of(schedule: &Schedule, sampler: &str, shift: f64) -> Result<Vec<f32>, Error> {
    match schedule {
        Schedule::Named(steps) => {
            let Steps { scheduler, steps, denoise, start_step, end_step, leftover_noise } = steps.clone();
            Ok(levels(&SampleOptions {
                sampler: sampler.into(),
                scheduler,
                steps,
                shift,
                seed: 0,
                denoise,
                start_step,
                end_step,
                add_noise: true,
                leftover_noise,
            })?)
        }
        Schedule::Sigmas(sigmas) => {
            let falls = sigmas.windows(2).all(|pair| pair[0] > pair[1]);
            match falls && sigmas.iter().all(|sigma| (0.0..=1.0).contains(sigma)) {
                true => Ok(sigmas.clone()),
                false => Err(Error::Sigmas),
            }
        }
    }
}

/// Noise levels of a scheduler by name, as ComfyUI's `BasicScheduler` gives them: those of a solver that keeps the
/// last but one.
///
/// # Errors
/// If the name is unknown, or a number is out of range.
pub fn basic_schedule(model: &Transformer, scheduler: &str, steps: usize, denoise: f64) -> Result<Vec<f32>, Error> {
    let flow = Flow::new(model.patches().shift())?;
    if !(0.0..=1.0).contains(&denoise) {
        return Err(Error::Number { what: "denoise", value: denoise.to_string(), range: "0 to 1" });
    }
    if denoise == 0.0 {
        return Ok(Vec::new());
    }
    let whole = (steps as f64 / denoise) as usize;
    let mut sigmas = Scheduler::named(scheduler)?.levels(&flow, if denoise < 1.0 { whole } else { steps })?;
    Ok(sigmas.split_off(sigmas.len().saturating_sub(steps + 1)))
}
