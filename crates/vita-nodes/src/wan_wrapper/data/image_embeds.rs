//! What a sampler is to make, and from which pictures, as it flows along `WANVIDIMAGE_EMBEDS` links.

use std::collections::BTreeMap;

use vita_graph::NodeError;
use vita_pipeline::image_to_video::VideoSize;
use vita_pipeline::{ClipFeatures, ImageConditioning, KnownFrames, Latent, LatentSpace, Transformer};
use vita_tensor::Tensor;

/// The size of a video, and what is known of it.
#[derive(Clone, Debug)]
pub struct ImageEmbeds {
    /// In pixels.
    pub size: VideoSize,
    /// Where it starts from, if not from a prompt alone.
    pub pictures: Option<Pictures>,
    /// Latents that are frames of the video, each with the place of its first.
    pub extra: Vec<(Latent, usize)>,
}

/// Pictures that a video starts from, for a model that takes them beside the noise.
#[derive(Clone, Debug)]
pub struct Pictures {
    /// Their latents.
    pub known: KnownFrames,
    /// Features of the picture.
    pub clip: Option<ClipFeatures>,
    /// Features for what should not be seen, where they are others.
    pub negative_clip: Option<ClipFeatures>,
    /// Whether an end image stands behind the video, as a latent frame that is not decoded.
    pub has_end_frame: bool,
}

impl ImageEmbeds {
    /// A video from a prompt alone.
    pub fn of_size(size: VideoSize) -> Self {
        Self { size, pictures: None, extra: Vec::new() }
    }

    /// `[T, h, w]` of the latent for a model.
    ///
    /// # Errors
    /// If the model takes no pictures and there are some.
    pub fn latent_size(&self, model: &Transformer) -> Result<[usize; 3], NodeError> {
        if let Some(Pictures { known, .. }) = &self.pictures {
            if !model.takes_image_latents() {
                let message = format!("`{}` ({}) takes no start or end image", model.file(), model.system());
                let hint = Some("load an image-to-video model, or use WanVideoEmptyEmbeds".into());
                return Err(NodeError::Failed { kind: "ValueError", message, hint });
            }
            let [_, frames, rows, columns] = known.latent.sizes();
            return Ok([frames, rows, columns]);
        }
        // A latent pixel of Wan 2.2's larger autoencoder has twice the side.
        let side = if model.latent_channels() == 48 { 16 } else { 8 };
        Ok([self.size.latent_frames(), self.size.height / side, self.size.width / side])
    }

    /// What leads a sampler toward what should be seen, beside the prompt, and away from what should not.
    pub fn conditioning(&self) -> [ImageConditioning; 2] {
        let Some(Pictures { known, clip, negative_clip, .. }) = &self.pictures else {
            return [ImageConditioning::default(), ImageConditioning::default()];
        };
        let with = |clip: Option<&ClipFeatures>| ImageConditioning { known: Some(known.clone()), clip: clip.cloned() };
        [with(clip.as_ref()), with(negative_clip.as_ref().or(clip.as_ref()))]
    }

    /// Latent frames of the video that are known, by their place; of two for one place the later counts.
    ///
    /// # Errors
    /// If the scale of a latent is not known.
    pub fn known_frames(&self) -> Result<BTreeMap<usize, Tensor>, NodeError> {
        let mut frames = BTreeMap::new();
        for (latent, place) in &self.extra {
            let samples = latent.samples_in(LatentSpace::Normalised).map_err(|error| NodeError::of(&error))?;
            frames.extend((0..samples.dims()[1]).map(|index| (place + index, samples.narrow(1, index, 1))));
        }
        Ok(frames)
    }

    /// Whether an end image stands behind the video.
    pub fn has_end_frame(&self) -> bool {
        self.pictures.as_ref().is_some_and(|pictures| pictures.has_end_frame)
    }
}
