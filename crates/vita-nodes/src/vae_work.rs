//! Latents to pictures and back: what the nodes with and without tiles share.

use vita_graph::{Context, Inputs, NodeError};
use vita_pipeline::{DecodeOptions, Stage, Tile};

use crate::data::{Image, Latents, Vae};
use crate::work::{Part, run, run_part};

/// The pictures of all latents of a batch, one after the other.
///
/// # Errors
/// As the pipeline's `decode`.
pub(crate) fn decode(inputs: &Inputs, options: DecodeOptions, context: &mut Context<'_>) -> Result<Image, NodeError> {
    let vae = inputs.object::<Vae>("vae")?;
    let latents = inputs.object::<Latents>("samples")?;
    let items = latents.items();
    let mut parts = Vec::with_capacity(items.len());
    for (index, latent) in items.iter().enumerate() {
        let part = Part { stage: Stage::Decoding, index, count: items.len() };
        let latent = latents.video(latent)?;
        parts.push(Image::new(run_part(context, part, |environment| vae.decode(&latent, options, environment))?));
    }
    Ok(Image::join(&parts))
}

/// Pictures as one latent video.
///
/// # Errors
/// As the pipeline's `encode`.
pub(crate) fn encode(inputs: &Inputs, options: DecodeOptions, context: &mut Context<'_>) -> Result<Latents, NodeError> {
    let vae = inputs.object::<Vae>("vae")?;
    let pixels = inputs.object::<Image>("pixels")?.rgb();
    let latent = run(context, Stage::Image, |environment| vae.encode(pixels.tensor(), options, environment))?;
    Ok(latent.into())
}

/// Squares of pixels that overlap by a quarter of their side at most, as ComfyUI bounds it.
pub(crate) fn tiles(inputs: &Inputs) -> Result<DecodeOptions, NodeError> {
    let size = inputs.count("tile_size")?;
    let overlap = inputs.count("overlap")?.min(size / 4);
    Ok(DecodeOptions { tile: Some(Tile { size, overlap }) })
}
