//! Latent frames of a video that are known: what the nodes that give some share.

use vita_graph::NodeError;

use super::data::ImageEmbeds;
use crate::data::Latents;

/// Adds a latent's frames from a place on; a place below 0 counts from the end.
///
/// # Errors
/// If they are not one video, or do not all lie within the one to make.
pub fn add(embeds: &mut ImageEmbeds, latents: &Latents, place: i128) -> Result<(), NodeError> {
    let [latent] = latents.items() else {
        return Err(NodeError::value("`extra_latents` are several videos; one is expected"));
    };
    let [_, count, ..] = latents.dims()?;
    let frames = embeds.size.latent_frames();
    let first = if place < 0 { place + frames as i128 } else { place };
    let fits = |first: &usize| first + count <= frames;
    let Some(first) = usize::try_from(first).ok().filter(fits) else {
        let message = format!("{count} latent frames from place {place} on do not lie within a video of {frames}");
        let hint = Some("choose another place, or make the video longer".into());
        return Err(NodeError::Failed { kind: "ValueError", message, hint });
    };
    embeds.extra.push((latent.clone(), first));
    Ok(())
}
