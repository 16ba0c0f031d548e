//! The rules of ComfyUI's own nodes: bilinear resizing of the middle, mid-grey where nothing is known.

use vita_tensor::Tensor;

use super::{VideoSize, check_size, mask_of_frames, plain, put};
use crate::Error;
use crate::conditioning::KnownFrames;
use crate::environment::Environment;
use crate::latent::{Latent, LatentSpace, latent_format};
use crate::parts::{DecodeOptions, Vae};
use crate::resize::{bilinear_center, check_pictures};

/// `WanImageToVideo`: the given frames, and grey. Without a start image nothing is known.
///
/// # Errors
/// If the pictures or the size cannot be, or of [`Vae::encode`].
pub fn image_to_video(
    vae: &Vae,
    start: Option<&Tensor>,
    size: VideoSize,
    environment: &mut Environment,
) -> Result<Option<KnownFrames>, Error> {
    let Some(start) = start else { return Ok(None) };
    let start = resized(start, size, vae, End::First)?;
    let mut video = plain(size.video(), GREY);
    put(&mut video, 0, &start);
    let [_, frames, rows, columns] = vae.latent_dims(size.video());
    // A latent frame is known as a whole where its last frame is.
    let known = start.dims()[0].saturating_sub(1) / 4 + 1;
    let slots: Vec<f32> = (0..4 * frames).map(|slot| if slot / 4 < known { 1.0 } else { 0.0 }).collect();
    known_frames(vae, &video, &slots, [rows, columns], environment).map(Some)
}

/// `WanFirstLastFrameToVideo`: frames given at the start and at the end, and grey between them.
///
/// # Errors
/// As [`image_to_video`].
pub fn first_last_frame(
    vae: &Vae,
    start: Option<&Tensor>,
    end: Option<&Tensor>,
    size: VideoSize,
    environment: &mut Environment,
) -> Result<KnownFrames, Error> {
    check_size(size, vae.spatial_factor())?;
    let mut video = plain(size.video(), GREY);
    let [_, frames, rows, columns] = vae.latent_dims(size.video());
    let mut slots = vec![0.0; 4 * frames];
    if let Some(start) = start {
        let start = resized(start, size, vae, End::First)?;
        put(&mut video, 0, &start);
        let known = (start.dims()[0] + 3).min(slots.len());
        slots[..known].fill(1.0);
    }
    if let Some(end) = end {
        let end = resized(end, size, vae, End::Last)?;
        let known = end.dims()[0];
        put(&mut video, size.frames - known, &end);
        let first = slots.len().saturating_sub(known);
        slots[first..].fill(1.0);
    }
    known_frames(vae, &video, &slots, [rows, columns], environment)
}

/// `Wan22ImageToVideoLatent`: a latent whose first frames are the start image's, and a mask that keeps them.
/// Without a start image, nothing and no mask.
///
/// # Errors
/// As [`image_to_video`].
pub fn image_latent(
    vae: &Vae,
    start: Option<&Tensor>,
    size: VideoSize,
    environment: &mut Environment,
) -> Result<Latent, Error> {
    check_size(size, vae.spatial_factor())?;
    let dims @ [channels, frames, rows, columns] = vae.latent_dims(size.video());
    let Some(start) = start else { return Ok(Latent::zeros(dims)) };
    let start = resized(start, size, vae, End::First)?;
    let known = vae.encode(&start, DecodeOptions::default(), environment)?.samples;
    let known_frames = known.dims()[1].min(frames);
    // Frames that are to be made stand at the mean, which is 0 in the sampler.
    let mean = latent_format(channels)?.mean;
    let plane = rows * columns;
    let mut samples = Tensor::scratch(dims);
    let clips = samples.f32s_mut().chunks_exact_mut(frames * plane).zip(mean);
    for (channel, (clip, &mean)) in clips.enumerate() {
        let (first, rest) = clip.split_at_mut(known_frames * plane);
        first.copy_from_slice(&known.f32s()[channel * known.dims()[1] * plane..][..first.len()]);
        rest.fill(mean);
    }
    let mut mask = plain_mask([frames, rows, columns]);
    mask.f32s_mut()[..known_frames * plane].fill(0.0);
    Ok(Latent { noise_mask: Some(mask), ..Latent::raw(samples) })
}

/// Mid-grey, in 0..1.
const GREY: f32 = 0.5;

/// Which frames of too many are kept.
#[derive(Clone, Copy, PartialEq)]
enum End {
    First,
    Last,
}

/// Pictures in the size of the video, no more than it has frames.
fn resized(pictures: &Tensor, size: VideoSize, vae: &Vae, keep: End) -> Result<Tensor, Error> {
    check_pictures(pictures)?;
    check_size(size, vae.spatial_factor())?;
    let given = pictures.dims()[0];
    let count = given.min(size.frames);
    let first = if keep == End::Last { given - count } else { 0 };
    Ok(bilinear_center(&pictures.narrow(0, first, count), [size.height, size.width]))
}

fn known_frames(
    vae: &Vae,
    video: &Tensor,
    slots: &[f32],
    grid: [usize; 2],
    environment: &mut Environment,
) -> Result<KnownFrames, Error> {
    let latent = vae.encode(video, DecodeOptions::default(), environment)?;
    Ok(KnownFrames { latent: latent.samples, mask: mask_of_frames(slots, grid), space: LatentSpace::Raw })
}

fn plain_mask(dims: [usize; 3]) -> Tensor {
    let mut mask = Tensor::scratch(dims);
    mask.f32s_mut().fill(1.0);
    mask
}
