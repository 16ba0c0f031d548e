//! Pictures to what leads a sampler: the latents and masks of image-to-video models.
//!
//! [`native`] has the rules of ComfyUI's own nodes, [`wrapper`] those of the Wan wrapper's. Pictures are
//! `[F, H, W, 3]` in 0..1.

pub mod native;
pub mod wrapper;

use vita_tensor::Tensor;

use crate::Error;

/// Size of a video to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoSize {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Frames.
    pub frames: usize,
}

impl VideoSize {
    /// Latent frames: the first frame's own, and one for each four that follow; at least one.
    pub fn latent_frames(self) -> usize {
        latent_frames(self.frames)
    }

    /// `[frames, height, width]`
    pub fn video(self) -> [usize; 3] {
        [self.frames, self.height, self.width]
    }
}

/// The size of a video in a picture's shape and about an area, in multiples of `step` pixels: with 16, what
/// `adjust_resolution` of the wrapper's `WanVideoImageClipEncode` does, and the official code. Returns width and
/// height.
///
/// picture: rows and columns; area: width and height whose product counts.
pub fn adjusted_resolution([rows, columns]: [usize; 2], [width, height]: [usize; 2], step: usize) -> [usize; 2] {
    let shape = rows as f64 / columns as f64;
    let area = (width * height) as f64;
    let side = |pixels: f64| ((pixels.sqrt() / step as f64) as usize).max(1) * step;
    [side(area / shape), side(area * shape)]
}

/// Latent frames of so many frames.
fn latent_frames(frames: usize) -> usize {
    frames.saturating_sub(1) / 4 + 1
}

/// Pictures of one value.
fn plain([frames, height, width]: [usize; 3], value: f32) -> Tensor {
    let mut pictures = Tensor::scratch([frames, height, width, 3]);
    pictures.f32s_mut().fill(value);
    pictures
}

/// Writes pictures over those from `at` on.
fn put(pictures: &mut Tensor, at: usize, new: &Tensor) {
    let [_, height, width, channels] = pictures.sizes();
    let frame = height * width * channels;
    let new = vita_ops::to_f32(new);
    pictures.f32s_mut()[at * frame..][..new.element_count()].copy_from_slice(new.f32s());
}

/// A mask with one value for each of four frames of each latent frame, `[4, T, h, w]`.
fn mask_of_frames(slots: &[f32], [rows, columns]: [usize; 2]) -> Tensor {
    let frames = slots.len() / 4;
    let plane = rows * columns;
    let mut mask = Tensor::scratch([4, frames, rows, columns]);
    for (i, values) in mask.f32s_mut().chunks_exact_mut(plane).enumerate() {
        values.fill(slots[i % frames * 4 + i / frames]);
    }
    mask
}

/// # Errors
/// If a size cannot be.
fn check_size(size: VideoSize, factor: usize) -> Result<(), Error> {
    for (what, pixels) in [("width", size.width), ("height", size.height)] {
        if pixels < factor {
            return Err(Error::Size { what, pixels, step: factor, nearest: vec![factor] });
        }
    }
    match size.frames {
        0 => Err(Error::Frames { frames: 0, nearest: vec![1] }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_kept_in_the_pictures_shape() {
        for (picture, area, step, want) in [
            ([512, 512], [512, 512], 16, [512, 512]),
            // The root is a hair below 480, in the original too.
            ([480, 832], [832, 480], 16, [832, 464]),
            // sqrt(512 * 512 * 16 / 9) = 682.7, sqrt(512 * 512 * 9 / 16) = 384
            ([1080, 1920], [512, 512], 16, [672, 384]),
            ([1080, 1920], [512, 512], 32, [672, 384]),
            ([1000, 3], [832, 480], 16, [32, 11536]),
            ([5000, 1], [64, 64], 32, [32, 4512]),
        ] {
            assert_eq!(adjusted_resolution(picture, area, step), want, "{picture:?}");
        }
    }

    #[test]
    fn four_frames_share_a_latent_frame() {
        let frames = [1, 4, 5, 8, 9, 81, 0].map(latent_frames);
        assert_eq!(frames, [1, 1, 2, 2, 3, 21, 1]);
        let mask = mask_of_frames(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [1, 2]);
        assert_eq!(mask.sizes(), [4, 2, 1, 2]);
        assert_eq!(mask.to_vec(), [1., 1., 5., 5., 2., 2., 6., 6., 3., 3., 7., 7., 4., 4., 8., 8.]);
    }
}
