//! A whole run: a prompt, perhaps with a picture or a video, to frames.

mod memory;
mod models;
mod presets;
mod request;
mod run;
mod systems;

pub use memory::estimate;
pub use models::{Models, Open, Paths};
pub use presets::{Defaults, Files, Loras, Preset, Takes};
pub use request::{FRAME_STEP, FRAMES_MAX, SIDE_MAX, SIZE_STEP, Sampling, Source, VideoRequest, WRAPPER_PREFIX};
pub use run::{Summary, make_video};
pub use systems::PRESETS;
