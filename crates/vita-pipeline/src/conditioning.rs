//! What leads the sampler: a prompt, and the picture that a video starts from.

use vita_tensor::Tensor;

use crate::latent::LatentSpace;
use crate::parts::{ClipFeatures, TextRows};

/// A prompt, and what goes with it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Conditioning {
    /// The prompt's embedding.
    pub text: TextRows,
    /// What is known of the picture.
    pub image: ImageConditioning,
}

/// What is known of the picture that a video starts from.
#[derive(Clone, Debug, Default)]
pub struct ImageConditioning {
    /// Latents that go in beside the noise. A model that takes them and gets none is given zeros.
    pub known: Option<KnownFrames>,
    /// Features for a model with an image branch: `[257 n, width]`.
    pub clip: Option<ClipFeatures>,
}

/// A latent video of which some frames are known.
#[derive(Clone, Debug)]
pub struct KnownFrames {
    /// `[16, T, h, w]`: known frames, and mid-grey where nothing is known.
    pub latent: Tensor,
    /// `[4, T, h, w]`: 1 where a frame is known, 0 where it is to be made; a channel for each frame of a latent frame.
    pub mask: Tensor,
    /// The scale of `latent`.
    pub space: LatentSpace,
}

impl Conditioning {
    /// A prompt alone.
    pub fn text(text: TextRows) -> Self {
        Self { text, image: ImageConditioning::default() }
    }

    /// The same prompt with another picture.
    #[must_use]
    pub fn with_image(&self, image: &ImageConditioning) -> Self {
        Self { text: self.text.clone(), image: image.clone() }
    }
}

impl From<TextRows> for Conditioning {
    fn from(text: TextRows) -> Self {
        Self::text(text)
    }
}
