//! Features of pictures as they flow along `WANVIDIMAGE_CLIPEMBEDS` links.

use vita_pipeline::ClipFeatures;

/// Features of pictures.
#[derive(Clone, Debug)]
pub struct ClipEmbeds {
    /// Of what should be seen.
    pub positive: ClipFeatures,
    /// Of what should not, where it is another picture.
    pub negative: Option<ClipFeatures>,
}
