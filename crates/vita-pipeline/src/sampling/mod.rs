//! Noise to latents: a sampling run, as ComfyUI's own nodes do it and as the Wan wrapper does.
//!
//! [`sample`] takes a [`SampleJob`]: a model, what leads it, a schedule, a latent. [`sample_experts`] is two such
//! jobs, one after the other, where a system has a model for high noise and one for low noise. [`sample_as_wrapper`]
//! and [`sample_experts_as_wrapper`] are the same in the wrapper's numbers.

mod caches;
mod experts;
mod job;
mod native;
mod network;
mod noise_mask;
mod reuse;
mod wrapper;

pub(crate) use caches::WINDOWS_MAX;
pub use experts::{Experts, Switch, sample_experts};
pub use job::{Noise, Passes, SampleJob, Sampled, Schedule, Steps, basic_schedule};
pub use native::sample;
pub use wrapper::{WrapperJob, WrapperSchedule, sample_as_wrapper, sample_experts_as_wrapper};
