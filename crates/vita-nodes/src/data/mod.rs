//! What flows along links, beside numbers and text. Cheap to clone: pixels and weights are shared.

mod audio;
mod image;
mod mask;
mod video;

pub use audio::Audio;
pub use image::Image;
pub use mask::Mask;
pub use video::{Video, VideoSource};

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

flows!(Audio, Image, Mask, Video);
