//! Noise, sigma schedules and solvers: everything of a sampling run that is not the model.
//!
//! [`sample`] is a whole run as ComfyUI's `KSampler` and `KSamplerAdvanced` do it. The model is a closure
//! from a noisy latent and its sigma to the denoised latent; guidance is the closure's business.
//!
//! - A schedule is a file of `sigmas/`, a solver a file of `solvers/`; [`SCHEDULERS`] and [`SOLVERS`] list
//!   them, under ComfyUI's names and in its order.
//! - [`noise::Generator`] is PyTorch's generator for processors, bit for bit, so the same seed starts from
//!   the same noise.
//! - [`sample_wrapper`] is a run as the Wan wrapper's sampler does it, with other schedules and solvers.
//! - Latents are `[C, T, H, W]`. Sums over them are `f64`, rounded once: they are small beside the model.
#![forbid(unsafe_code)]

mod arithmetic;
mod error;
mod flow;
pub mod noise;
mod sampler;
mod sigmas;
mod solvers;
mod wrapper;

pub use error::Error;
pub use flow::Flow;
pub use sampler::{Run, SampleOptions, levels, sample, sample_guided, sample_levels};
pub use sigmas::{SCHEDULERS, Scheduler};
pub use solvers::{Denoised, SOLVERS, Solver};
pub use wrapper::{Timetable, WRAPPER_SCHEDULERS, WrapperOptions, WrapperScheduler, WrapperStep, sample_wrapper};
