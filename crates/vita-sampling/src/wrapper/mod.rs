//! Sampling as the Wan wrapper nodes do it: other schedules, timesteps that some round to whole numbers, solvers on
//! the velocity, and one generator for all noise of a run.
//!
//! Follows ComfyUI-WanVideoWrapper's `get_scheduler` and the diffusers schedulers behind it.

mod deis;
mod dpmpp;
mod er_sde;
mod sa_ode;
mod step;
mod timetable;
mod uni_pc;

use vita_tensor::Tensor;

use crate::Error;
use crate::arithmetic::combine;
use crate::noise::Generator;
use step::Rule;
use timetable::Table;
pub use timetable::Timetable;

/// A schedule and its solver, by the wrapper's name.
pub struct WrapperScheduler {
    /// The wrapper's name.
    pub name: &'static str,
    table: Table,
    rule: Rule,
}

/// Every one that Wan models run on, in the wrapper's order. (Its list also has those of other models.)
pub const WRAPPER_SCHEDULERS: &[WrapperScheduler] = &[
    WrapperScheduler { name: "unipc", table: Table::Twice { beta: false }, rule: Rule::UniPc },
    WrapperScheduler { name: "unipc/beta", table: Table::Twice { beta: true }, rule: Rule::UniPc },
    WrapperScheduler { name: "dpm++", table: Table::Twice { beta: false }, rule: Rule::Dpmpp },
    WrapperScheduler { name: "dpm++/beta", table: Table::Twice { beta: true }, rule: Rule::Dpmpp },
    WrapperScheduler { name: "dpm++_sde", table: Table::Twice { beta: false }, rule: Rule::DpmppSde },
    WrapperScheduler { name: "dpm++_sde/beta", table: Table::Twice { beta: true }, rule: Rule::DpmppSde },
    WrapperScheduler { name: "euler", table: Table::FlowMatch { beta: false }, rule: Rule::Euler },
    WrapperScheduler { name: "euler/beta", table: Table::FlowMatch { beta: true }, rule: Rule::Euler },
    WrapperScheduler { name: "longcat_distill_euler", table: Table::Longcat, rule: Rule::Euler },
    WrapperScheduler { name: "deis", table: Table::Deis, rule: Rule::Deis },
    WrapperScheduler { name: "lcm", table: Table::FlowMatch { beta: false }, rule: Rule::Lcm },
    WrapperScheduler { name: "lcm/beta", table: Table::FlowMatch { beta: true }, rule: Rule::Lcm },
    WrapperScheduler { name: "res_multistep", table: Table::ResMultistep, rule: Rule::ResMultistep },
    WrapperScheduler { name: "er_sde", table: Table::ResMultistep, rule: Rule::ErSde },
    WrapperScheduler { name: "flowmatch_causvid", table: Table::CausVid, rule: Rule::Euler },
    WrapperScheduler { name: "flowmatch_distill", table: Table::Distill, rule: Rule::Euler },
    WrapperScheduler { name: "sa_ode_stable", table: Table::SaOde, rule: Rule::SaOde },
    WrapperScheduler { name: "rcm", table: Table::Rcm, rule: Rule::Rcm },
    WrapperScheduler { name: "vibt_unipc", table: Table::Vibt, rule: Rule::Vibt },
];

impl WrapperScheduler {
    /// The one of a name.
    ///
    /// # Errors
    /// If there is none; the hint lists those there are.
    pub fn named(name: &str) -> Result<&'static Self, Error> {
        let found = WRAPPER_SCHEDULERS.iter().find(|scheduler| scheduler.name == name);
        found.ok_or_else(|| Error::UnknownWrapperScheduler { name: name.into() })
    }
}

/// Settings of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct WrapperOptions {
    /// Name of the schedule and solver.
    pub scheduler: String,
    /// Steps of the whole schedule.
    pub steps: usize,
    /// Flow shift, above 0.
    pub shift: f64,
    /// Levels of one's own instead of the schedule's, the last usually 0.
    pub sigmas: Option<Vec<f32>>,
    /// First step that is run, from 0.
    pub start_step: usize,
    /// First step that is not run; `None` runs to the end.
    pub end_step: Option<usize>,
    /// Share of the schedule that is run, from its end, where it starts from a latent: 1 starts from noise.
    pub denoise: f64,
    /// Width of the model: a distilled schedule is for one size only.
    pub model_dim: usize,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WrapperStep {
    /// From 0, of the steps that are run.
    pub index: usize,
    /// Of the whole schedule, from 0.
    pub schedule_index: usize,
    /// Level of the noisy latent.
    pub sigma: f32,
    /// What the model is told; a whole number with some schedulers.
    pub timestep: f32,
}

/// Runs a solver from a noisy latent `[C, T, H, W]` at the first level of the run to its last. `generator` has made
/// the run's first noise and goes on with that of its steps.
///
/// `model` gives the guided velocity; `on_step` is told how many steps are done, and the denoised latent of the last.
///
/// # Errors
/// Whatever `model` or `on_step` answer.
pub fn sample_wrapper<E>(
    timetable: &Timetable,
    noisy: &Tensor,
    generator: &mut Generator,
    model: &mut dyn FnMut(&Tensor, WrapperStep) -> Result<Tensor, E>,
    on_step: &mut dyn FnMut(usize, &Tensor) -> Result<(), E>,
) -> Result<Tensor, E> {
    // What the model sees of the latent: the wrapper's `rcm` keeps one of another length.
    let scale = |sigma: f32| timetable.rule.latent_scale(f64::from(sigma));
    let mut x = noisy.to_contiguous_f32();
    if let (true, Some(&first)) = (timetable.rule == Rule::Rcm, timetable.sigmas.first()) {
        x = combine([(scale(first), &x)]);
    }
    let mut solver = timetable.rule.solver();
    for index in 0..timetable.timesteps.len() {
        let sigma = timetable.sigmas[index];
        let at = WrapperStep {
            index,
            schedule_index: timetable.first_step + index,
            sigma,
            timestep: timetable.timesteps[index],
        };
        let velocity = model(&x, at)?;
        assert_eq!(velocity.dims(), x.dims(), "a velocity has the latent's shape");
        let velocity = velocity.to_contiguous_f32();
        let denoised = combine([(1.0, &x), (-f64::from(sigma), &velocity)]);
        let dims = x.dims();
        x = solver.step(&x, &denoised, index, timetable, &mut || generator.randn(dims));
        on_step(index + 1, &denoised)?;
    }
    if let (true, Some(&last)) = (timetable.rule == Rule::Rcm, timetable.sigmas.last()) {
        x = combine([(1.0 / scale(last), &x)]);
    }
    Ok(x)
}
