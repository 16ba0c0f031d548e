//! Sizes of videos, as the nodes of Wan ask for them.

use vita_graph::{Field, Inputs, NodeError, int};
use vita_pipeline::image_to_video::VideoSize;

use crate::prelude::{BATCH_MAX, SIDE_MAX, whole};

/// A side in pixels, in steps of a patch.
pub(crate) fn side(default: i128, step: i128) -> Field {
    int(default, step..=SIDE_MAX, step).tooltip("Pixels.")
}

/// Frames; a latent frame holds the first, each other one four.
pub(crate) fn length(default: i128) -> Field {
    int(default, 1..=SIDE_MAX, 4).tooltip("Frames; four and one more make whole latent frames.")
}

/// Videos at once.
pub(crate) fn batch_size() -> Field {
    whole(1, 1..=BATCH_MAX).tooltip("Videos that are made at once.")
}

/// The size that a node was given.
pub(crate) fn video_size(inputs: &Inputs) -> Result<VideoSize, NodeError> {
    Ok(VideoSize { width: inputs.count("width")?, height: inputs.count("height")?, frames: inputs.count("length")? })
}

/// `[16, T, h, w]` of a latent of Wan 2.1.
pub(crate) fn latent_dims(size: VideoSize) -> [usize; 4] {
    [16, size.latent_frames(), size.height / 8, size.width / 8]
}
