//! Prompt to frames: which network runs when, on what, and for how long.
//!
//! [`text_to_video`] is a whole run: text encoder, transformer and autoencoder are loaded one after the
//! other and dropped when they are done, so the largest of them decides what memory a run takes
//! ([`estimate`] says it beforehand). Events go to an [`Observer`], frames to a closure, and a
//! [`Cancel`] stops the run within one block of the transformer.
//!
//! Knows no clock, no terminal and no file format of videos: these are the caller's.
#![forbid(unsafe_code)]

mod conditioning;
mod denoise;
mod error;
pub mod guidance;
mod memory;
mod models;
mod presets;
mod progress;
mod request;
mod run;

pub use error::{Error, Fits};
pub use memory::{Estimate, StageMemory, estimate};
pub use models::Models;
pub use presets::{Defaults, Files, PRESETS, Paths, Preset};
pub use progress::{Event, Observer, Stage};
pub use request::{FRAME_STEP, FRAMES_MAX, SIDE_MAX, SIZE_STEP, Sampling, TextToVideo};
pub use run::{Environment, Frame, Sink, Summary, text_to_video};
pub use vita_base::Cancel;
