//! What leads a sampler from pictures: what the image-to-video nodes share.

use vita_graph::{Inputs, NodeError, Outputs, Value};
use vita_pipeline::image_to_video::VideoSize;
use vita_pipeline::{ClipFeatures, ImageConditioning, KnownFrames, below_each_other};

use crate::data::{ClipVisionOutput, Conditioning, Image, Latents};
use crate::wan_size::latent_dims;

/// Pictures without transparency, if there are any.
pub(crate) fn pictures(inputs: &Inputs, name: &str) -> Result<Option<Image>, NodeError> {
    Ok(inputs.optional::<Image>(name)?.map(|image| image.rgb()))
}

/// Features of pictures, one below the other, if there are any.
pub(crate) fn features(inputs: &Inputs, names: &[&str]) -> Result<Option<ClipFeatures>, NodeError> {
    let mut found = Vec::new();
    for name in names {
        found.extend(inputs.optional::<ClipVisionOutput>(name)?.map(|output| output.0.clone()));
    }
    Ok(match found.len() {
        0 | 1 => found.pop(),
        _ => Some(below_each_other(&found.iter().collect::<Vec<_>>())),
    })
}

/// Both prompts with what is known of the pictures, and latents of nothing. What was known before and is not known
/// anew stays.
pub(crate) fn outputs(
    inputs: &Inputs,
    known: Option<KnownFrames>,
    clip: Option<ClipFeatures>,
    size: VideoSize,
) -> Result<Outputs, NodeError> {
    let with = |name| -> Result<Value, NodeError> {
        let conditioning = inputs.object::<Conditioning>(name)?;
        let ImageConditioning { known: old_known, clip: old_clip } = conditioning.image.clone();
        let image = ImageConditioning { known: known.clone().or(old_known), clip: clip.clone().or(old_clip) };
        Ok(Value::object(conditioning.with_image(&image)))
    };
    let latents = Latents::zeros(inputs.count("batch_size")?, latent_dims(size))?;
    Ok(Outputs::values([with("positive")?, with("negative")?, latents.into()]))
}
