//! Videos as they flow along `VIDEO` links.

use std::path::PathBuf;
use std::sync::Arc;

use vita_media::FrameRate;

use super::{Audio, Image};

/// A video: pictures with a rate and sound, or a file that has them.
#[derive(Clone, Debug)]
pub struct Video {
    /// Where its pictures are.
    pub source: VideoSource,
}

/// Where a video's pictures are.
#[derive(Clone, Debug)]
pub enum VideoSource {
    /// In memory.
    Frames {
        /// The pictures in order.
        images: Arc<Image>,
        /// Frames per second.
        frame_rate: FrameRate,
        /// Its sound.
        audio: Option<Arc<Audio>>,
    },
    /// In a file.
    File(PathBuf),
}
