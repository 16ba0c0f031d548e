//! Prompts and pictures to frames: which network runs when, on what, and for how long.
//!
//! **Parts.** [`TextEncoder`], [`Transformer`], [`Vae`] and [`ClipVision`] are opened files, cheap to clone; each
//! does one thing: a prompt to [`TextRows`], a [`SampleJob`] to a [`Latent`] ([`sample`], [`sample_experts`]),
//! pictures to latents and back, a picture to features. [`image_to_video`] makes the [`Conditioning`] of pictures.
//! The workflow nodes stand on these.
//!
//! **A whole run.** [`make_video`] puts the parts together for a [`VideoRequest`]; [`estimate`] says beforehand what
//! memory it takes. The `generate` command stands on this.
//!
//! **Around both** is an [`Environment`]: events go to an [`Observer`], a [`Cancel`] stops the work within one
//! block of the transformer, and loaded networks are kept in a [`Residency`], which bounds the memory of all.
//!
//! Pictures are `[F, H, W, 3]` in 0..1. Knows no clock, no terminal and no file format of videos: these are the
//! caller's.
#![forbid(unsafe_code)]

mod conditioning;
mod environment;
mod error;
mod extras;
mod frame;
pub mod guidance;
pub mod image_to_video;
mod latent;
mod memory;
mod parts;
mod progress;
mod prompt_markup;
mod residency;
pub mod resize;
mod sampling;
mod whole;
mod windows;

pub use conditioning::{Conditioning, ImageConditioning, KnownFrames};
pub use environment::Environment;
pub use error::{Error, Fits};
pub use extras::{Enhance, LoopShift, NagPrompt, PassCache, ReuseCache, ReusePlace, SkipInNegative, SkipLayers, Span};
pub use frame::{Frame, Sink, SinkError, pictures};
pub use guidance::{Cfg, CfgZeroStar};
pub use latent::{Latent, LatentSpace, NoiseState, latent_format};
pub use memory::{Estimate, StageMemory};
pub use parts::{
    ClipCrop, ClipFeatures, ClipVision, DecodeOptions, LoraAt, ModelPatches, PromptStyle, TextEncoder, TextRows,
    Transformer, Vae, below_each_other,
};
pub use progress::{Event, Observer, Stage};
pub use residency::{LoadedNetwork, Residency};
pub use sampling::{
    Experts, Noise, Passes, SampleJob, Sampled, Schedule, Steps, Switch, WrapperJob, WrapperSchedule, basic_schedule,
    sample, sample_as_wrapper, sample_experts, sample_experts_as_wrapper,
};
pub use vita_base::Cancel;
pub use vita_models::vae::Tile;
pub use vita_models::wan::{CacheRule, CacheTables, NagNumbers, TeaMeasure};
pub use vita_ops::{AttentionMode, Precision};
pub use whole::{
    Defaults, FRAME_STEP, FRAMES_MAX, Files, Loras, Models, Open, PRESETS, Paths, Preset, SIDE_MAX, SIZE_STEP,
    Sampling, Source, Summary, Takes, VideoRequest, WRAPPER_PREFIX, estimate, make_video,
};
pub use windows::{ContextWindows, Window, WindowMix, WindowSchedule, WindowStart};
