//! What flows along links, beside numbers and text. Cheap to clone: pixels and weights are shared.
//!
//! Along `MODEL`, `CLIP`, `VAE`, `CLIP_VISION` and `CONDITIONING` links flow the pipeline's own parts:
//! [`Transformer`], [`TextEncoder`], [`Vae`], [`ClipVision`], [`Conditioning`].

mod audio;
mod clip_vision_output;
mod image;
mod latents;
mod mask;
mod sampling;
mod video;

pub use audio::Audio;
pub use clip_vision_output::ClipVisionOutput;
pub use image::Image;
pub use latents::Latents;
pub use mask::Mask;
pub use sampling::{Guider, NoiseSource, Sampler, Sigmas};
pub use video::{Video, VideoSource};
pub use vita_pipeline::{ClipVision, Conditioning, TextEncoder, Transformer, Vae};

use vita_graph::Value;

macro_rules! flows {
    ($($kind:ty),* $(,)?) => {$(
        impl From<$kind> for Value {
            fn from(value: $kind) -> Self {
                Self::object(value)
            }
        }
    )*};
}

flows!(Audio, ClipVisionOutput, Guider, Image, Latents, Mask, NoiseSource, Sampler, Sigmas, Video);
