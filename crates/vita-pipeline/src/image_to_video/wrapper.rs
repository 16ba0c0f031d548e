//! The rules of the Wan wrapper's nodes: Lanczos resizing to the exact size, latents on the transformer's scale.

use vita_tensor::Tensor;

use super::{VideoSize, check_size, mask_of_frames, plain, put};
use crate::Error;
use crate::conditioning::KnownFrames;
use crate::environment::Environment;
use crate::latent::{Latent, LatentSpace, join_frames};
use crate::parts::{DecodeOptions, Vae};
use crate::resize::{check_pictures, lanczos};

/// What `WanVideoImageToVideoEncode` is told beside its pictures and sizes.
#[derive(Clone, Debug)]
pub struct EncodeOptions {
    /// What the start image's latent, `[.., first]`, is multiplied by.
    pub start_strength: f64,
    /// What the end image's latent, `[.., last]`, is multiplied by.
    pub end_strength: f64,
    /// Whether the end image is one of the video's frames, as Fun and first-last-frame models have it, and not a
    /// frame behind them.
    pub end_is_frame: bool,
    /// How the autoencoder is run.
    pub vae: DecodeOptions,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self { start_strength: 1.0, end_strength: 1.0, end_is_frame: true, vae: DecodeOptions::default() }
    }
}

/// The latents of `WanVideoImageClipEncode` and of `WanVideoImageToVideoEncode`: start and end frames resized, black
/// in the middle of the scale between them.
///
/// # Errors
/// If the pictures or the size cannot be, or of [`Vae::encode`].
pub fn image_to_video(
    vae: &Vae,
    start: Option<&Tensor>,
    end: Option<&Tensor>,
    size: VideoSize,
    options: &EncodeOptions,
    environment: &mut Environment,
) -> Result<KnownFrames, Error> {
    check_size(size, vae.spatial_factor())?;
    // Whole latent frames, as the node has it.
    let size = VideoSize { frames: (size.frames - 1) / 4 * 4 + 1, ..size };
    let resized = |pictures: Option<&Tensor>| -> Result<Option<Tensor>, Error> {
        let Some(pictures) = pictures else { return Ok(None) };
        check_pictures(pictures)?;
        let count = pictures.dims()[0].min(size.frames);
        Ok(Some(lanczos(&pictures.narrow(0, 0, count), [size.height, size.width])))
    };
    let (start, end) = (resized(start)?, resized(end)?);
    let counts = [&start, &end].map(|pictures| pictures.as_ref().map_or(0, |pictures| pictures.dims()[0]));
    let has_extra_end = end.is_some() && start.is_some() && !options.end_is_frame;

    let mut video = plain(size.video(), MIDDLE);
    if let Some(start) = &start {
        put(&mut video, 0, start);
    }
    if let Some(end) = end.as_ref().filter(|_| !has_extra_end) {
        put(&mut video, size.frames - counts[1], end);
    }
    let encode = |pictures: &Tensor, environment: &mut Environment| -> Result<Tensor, Error> {
        vae.encode(pictures, options.vae, environment)?.samples_in(LatentSpace::Normalised)
    };
    let mut latent = encode(&video, environment)?;
    if let Some(end) = end.as_ref().filter(|_| has_extra_end) {
        // Encoded alone, without what came before it.
        let last = encode(&end.narrow(0, end.dims()[0] - 1, 1), environment)?;
        latent = join_frames(&[&latent, &last]);
    }
    let frames = latent.dims()[1];
    scale_frame(&mut latent, 0, options.start_strength as f32);
    if end.is_some() {
        scale_frame(&mut latent, frames - 1, options.end_strength as f32);
    }
    let slots = slots(size.frames, counts, has_extra_end);
    let [_, _, rows, columns] = latent.sizes();
    Ok(KnownFrames { latent, mask: mask_of_frames(&slots, [rows, columns]), space: LatentSpace::Normalised })
}

/// `WanVideoEncode`: pictures in a multiple of 16 pixels, by Lanczos, on the transformer's scale.
///
/// # Errors
/// If the pictures cannot be, or of [`Vae::encode`].
pub fn encode(
    vae: &Vae,
    pictures: &Tensor,
    options: DecodeOptions,
    environment: &mut Environment,
) -> Result<Latent, Error> {
    check_pictures(pictures)?;
    let [_, rows, columns, _] = pictures.sizes();
    let size = [rows, columns].map(|pixels| (pixels / 16 * 16).max(16));
    let pictures = match size == [rows, columns] {
        true => pictures.clone(),
        false => lanczos(pictures, size),
    };
    let latent = vae.encode(&pictures, options, environment)?;
    Ok(Latent::normalised(latent.samples_in(LatentSpace::Normalised)?))
}

/// 0 between -1 and 1.
const MIDDLE: f32 = 0.5;

/// Which of the four places of each latent frame are known: the first frame's are all its own, and so are those
/// of an end image behind the video.
fn slots(frames: usize, [start, end]: [usize; 2], has_extra_end: bool) -> Vec<f32> {
    let count = frames + usize::from(has_extra_end);
    let mut known = vec![0.0; count];
    known[..start.min(count)].fill(1.0);
    known[count - end.min(count)..].fill(1.0);
    let first = std::iter::repeat_n(known[0], 3);
    let last = std::iter::repeat_n(known[count - 1], if has_extra_end { 3 } else { 0 });
    first.chain(known.iter().copied()).chain(last).collect()
}

fn scale_frame(latent: &mut Tensor, frame: usize, strength: f32) {
    if strength == 1.0 {
        return;
    }
    let [_, frames, rows, columns] = latent.sizes();
    let plane = rows * columns;
    for clip in latent.f32s_mut().chunks_exact_mut(frames * plane) {
        clip[frame * plane..][..plane].iter_mut().for_each(|value| *value *= strength);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_places_of_latent_frames() {
        let text = |frames, counts, extra| -> String {
            slots(frames, counts, extra).iter().map(|&slot| if slot == 1.0 { '1' } else { '0' }).collect()
        };
        assert_eq!(text(5, [1, 0], false), "11110000");
        assert_eq!(text(5, [2, 0], false), "11111000");
        assert_eq!(text(5, [1, 1], false), "11110001");
        assert_eq!(text(5, [0, 1], false), "00000001");
        assert_eq!(text(5, [1, 1], true), "111100001111");
        assert_eq!(text(1, [1, 0], false), "1111");
    }

    #[test]
    fn one_frame_is_scaled() {
        let mut latent = Tensor::from_vec((0..8).map(|i| i as f32).collect(), [2, 2, 1, 2]);
        scale_frame(&mut latent, 1, 0.5);
        assert_eq!(latent.to_vec(), [0.0, 1.0, 1.0, 1.5, 4.0, 5.0, 3.0, 3.5]);
    }
}
