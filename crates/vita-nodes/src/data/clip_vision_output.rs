//! What a vision encoder says of pictures, as it flows along `CLIP_VISION_OUTPUT` links.

use vita_pipeline::ClipFeatures;

/// Features of pictures, one below the other: `[257 n, width]`.
#[derive(Clone, Debug)]
pub struct ClipVisionOutput(pub ClipFeatures);
