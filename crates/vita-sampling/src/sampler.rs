//! A whole sampling run, as ComfyUI's `KSampler` and `KSamplerAdvanced` do it.

use vita_tensor::Tensor;

use crate::arithmetic::combine;
use crate::noise::Generator;
use crate::solvers::{Stop, Walk};
use crate::{Denoised, Error, Flow, Scheduler, Solver};

/// Settings of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleOptions {
    /// Name of the solver.
    pub sampler: String,
    /// Name of the schedule.
    pub scheduler: String,
    /// Steps of the whole schedule.
    pub steps: usize,
    /// Flow shift, above 0.
    pub shift: f64,
    /// Seed of all noise.
    pub seed: u64,
    /// Share of the schedule that is run, from its end: 1 starts from pure noise, less keeps something of the
    /// latent given. 0 returns the latent as it is.
    pub denoise: f64,
    /// First step that is run, from 0. At the schedule's end or beyond, the latent is returned as it is.
    pub start_step: usize,
    /// First step that is not run; `None` runs to the end.
    pub end_step: Option<usize>,
    /// Whether noise of the first level is added to the latent given. Without, it must have it already.
    pub add_noise: bool,
    /// Whether a run that ends early leaves its last level's noise in, for another run to go on from.
    pub leftover_noise: bool,
}

impl SampleOptions {
    /// A plain run from noise to the end.
    pub fn new(sampler: &str, scheduler: &str, steps: usize, shift: f64, seed: u64) -> Self {
        Self {
            sampler: sampler.into(),
            scheduler: scheduler.into(),
            steps,
            shift,
            seed,
            denoise: 1.0,
            start_step: 0,
            end_step: None,
            add_noise: true,
            leftover_noise: false,
        }
    }
}

/// `denoise` this close to 1 is a whole run.
const WHOLE_ABOVE: f64 = 0.9999;

/// Most steps of a run, as in ComfyUI's nodes.
const STEPS_MAX: usize = 10_000;

/// The noise levels of a run, from the first to the last; at most one where there is nothing to do.
///
/// # Errors
/// If a name is unknown, a number is out of range, or fewer steps remain than the solver is defined for.
pub fn levels(options: &SampleOptions) -> Result<Vec<f32>, Error> {
    let flow = Flow::new(options.shift)?;
    let solver = Solver::named(&options.sampler)?;
    let scheduler = Scheduler::named(&options.scheduler)?;
    if !(1..=STEPS_MAX).contains(&options.steps) {
        return Err(Error::Number { what: "steps", value: options.steps.to_string(), range: "1 to 10000" });
    }
    if !(0.0..=1.0).contains(&options.denoise) {
        return Err(Error::Number { what: "denoise", value: options.denoise.to_string(), range: "0 to 1" });
    }
    if options.denoise == 0.0 {
        return Ok(Vec::new());
    }
    let mut levels = if options.denoise > WHOLE_ABOVE {
        scheduled(scheduler, solver, &flow, options.steps)?
    } else {
        // The end of a longer schedule.
        let schedule_steps = (options.steps as f64 / options.denoise) as usize;
        if schedule_steps > Scheduler::STEPS_MAX {
            return Err(Error::LongSchedule {
                steps: options.steps,
                denoise: options.denoise,
                schedule_steps,
                schedule_steps_max: Scheduler::STEPS_MAX,
            });
        }
        let mut levels = scheduled(scheduler, solver, &flow, schedule_steps)?;
        levels.split_off(levels.len().saturating_sub(options.steps + 1))
    };
    if let Some(end) = options.end_step.filter(|&end| end + 1 < levels.len()) {
        levels.truncate(end + 1);
        if !options.leftover_noise {
            levels[end] = 0.0;
        }
    }
    // As ComfyUI: a start beyond the end leaves the last level alone.
    let levels = levels.split_off(options.start_step.min(levels.len() - 1));
    match levels.len() - 1 {
        steps if steps > 0 && steps < solver.steps_min => {
            Err(Error::TooFewSteps { name: solver.name, steps, steps_min: solver.steps_min })
        }
        _ => Ok(levels),
    }
}

/// A schedule as a solver wants it.
fn scheduled(scheduler: &Scheduler, solver: &Solver, flow: &Flow, steps: usize) -> Result<Vec<f32>, Error> {
    let mut levels = scheduler.levels(flow, steps + usize::from(solver.drops_penultimate))?;
    if solver.drops_penultimate {
        levels.remove(levels.len() - 2);
    }
    // Beyond a thousand steps a table's levels repeat. A step that goes nowhere changes nothing, except that
    // multistep solvers divide by its length.
    levels.dedup();
    Ok(levels)
}

/// Runs a solver from a latent `[C, T, H, W]` on the model's scale (zeros for a plain run) to another.
///
/// `model` gives the denoised latent of a noisy one at a level (`sigma`; the timestep is `1000 sigma`).
/// `on_step` is told how many steps are done and the denoised latent of the last. An error of either ends the
/// run at once.
///
/// A mask that keeps a part of the latent needs nothing more: it is a `model` that wraps another, as ComfyUI's
/// `KSamplerX0Inpaint` is. (The noise that it mixes in is that of [`Generator::new`] of the seed.)
///
/// # Errors
/// Of the settings, before anything is run; of a solver that needs more than one denoised latent (for which there
/// is [`sample_guided`]); then whatever `model` or `on_step` answer.
pub fn sample<E: From<Error>>(
    options: &SampleOptions,
    latent: &Tensor,
    model: &mut dyn FnMut(&Tensor, f32) -> Result<Tensor, E>,
    on_step: &mut dyn FnMut(usize, &Tensor) -> Result<(), E>,
) -> Result<Tensor, E> {
    let solver = Solver::named(&options.sampler)?;
    if solver.needs_uncond {
        return Err(Error::NeedsUncond { name: solver.name }.into());
    }
    sample_guided(options, latent, &mut |x, sigma| model(x, sigma).map(Denoised::from), on_step)
}

/// [`sample`] for every solver: those with [`Solver::needs_uncond`] get [`Denoised::uncond`] from the model, at any
/// guidance.
///
/// # Errors
/// Of the settings, before anything is run; then whatever `model` or `on_step` answer.
pub fn sample_guided<E: From<Error>>(
    options: &SampleOptions,
    latent: &Tensor,
    model: &mut dyn FnMut(&Tensor, f32) -> Result<Denoised, E>,
    on_step: &mut dyn FnMut(usize, &Tensor) -> Result<(), E>,
) -> Result<Tensor, E> {
    let run = Run {
        solver: Solver::named(&options.sampler)?,
        flow: Flow::new(options.shift)?,
        sigmas: levels(options)?,
        seed: options.seed,
    };
    let latent = latent.to_contiguous_f32();
    let noise = options.add_noise.then(|| Generator::new(options.seed).randn(latent.dims()));
    sample_levels(run, &latent, noise.as_ref(), model, on_step)
}

/// A run over levels that the caller chose, as ComfyUI's `SamplerCustom` does it.
pub struct Run {
    /// Which solver.
    pub solver: &'static Solver,
    /// The model's levels, which some solvers go by.
    pub flow: Flow,
    /// From the first to the last; with fewer than two the latent is returned as it is.
    pub sigmas: Vec<f32>,
    /// Seed of the noise of single steps.
    pub seed: u64,
}

/// Runs a solver over given levels, from a latent with `noise` of the first level added (`None` adds none).
///
/// # Errors
/// If fewer steps remain than the solver is defined for; then whatever `model` or `on_step` answer.
pub fn sample_levels<E: From<Error>>(
    run: Run,
    latent: &Tensor,
    noise: Option<&Tensor>,
    model: &mut dyn FnMut(&Tensor, f32) -> Result<Denoised, E>,
    on_step: &mut dyn FnMut(usize, &Tensor) -> Result<(), E>,
) -> Result<Tensor, E> {
    let Run { solver, flow, mut sigmas, seed } = run;
    let latent = latent.to_contiguous_f32();
    let steps = sigmas.len().saturating_sub(1);
    if steps > 0 && steps < solver.steps_min {
        return Err(Error::TooFewSteps { name: solver.name, steps, steps_min: solver.steps_min }.into());
    }
    let [first, .., last] = &mut sigmas[..] else { return Ok(latent) };
    if *last == 0.0 {
        *last = solver.last_sigma;
    }
    let (first, last) = (f64::from(*first), f64::from(*last));
    let start = match noise {
        Some(noise) => combine([(first, noise), (1.0 - first, &latent)]),
        None => combine([(1.0 - first, &latent)]),
    };
    // What ended the run, while the solver only knows that something did.
    let mut failures = [None, None];
    let [model_failure, step_failure] = &mut failures;
    let mut walk = Walk {
        sigmas,
        dims: latent.dims(),
        seed,
        flow,
        model: &mut |x, sigma| model(x, sigma).map_err(|error| keep(model_failure, error)),
        on_step: &mut |step, denoised| on_step(step, denoised).map_err(|error| keep(step_failure, error)),
    };
    match (solver.run)(&mut walk, start) {
        // Undoes the scale of a flow's signal; where noise is left over, the next run applies it again.
        Ok(x) => Ok(combine([(1.0 / (1.0 - last), &x)])),
        Err(Stop) => Err(failures.into_iter().flatten().next().expect("a solver stops only where a call failed")),
    }
}

fn keep<E>(place: &mut Option<E>, error: E) -> Stop {
    *place = Some(error);
    Stop
}
