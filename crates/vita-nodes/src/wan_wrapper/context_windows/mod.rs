//! Windows in which a long video is sampled.

use vita_graph::NodeError;
use vita_pipeline::image_to_video::VideoSize;

use crate::work::not_yet;

/// How long a window is.
#[derive(Clone, Copy, Debug)]
pub struct ContextOptions {
    /// Frames of a window.
    pub frames: usize,
}

impl ContextOptions {
    /// # Errors
    /// If a video is longer than a window: that is not built in. A shorter one has no use for windows.
    pub fn check(self, size: VideoSize) -> Result<(), NodeError> {
        let window = VideoSize { frames: self.frames, ..size };
        match window.latent_frames() < size.latent_frames() {
            true => Err(not_yet(&format!(
                "sampling in windows (`context_options`: windows of {} frames for a video of {})",
                self.frames, size.frames
            ))),
            false => Ok(()),
        }
    }
}
