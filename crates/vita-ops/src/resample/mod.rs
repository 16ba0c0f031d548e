//! Nearest-exact enlargement of a channels-last video.

use rayon::prelude::*;
use vita_tensor::Tensor;

use crate::to_f32;

/// `[T, H, W, C]` to `[T, H * factor, W * factor, C]`: each pixel becomes a square of equal ones, which
/// for whole factors is what PyTorch's `nearest-exact` gives.
#[must_use]
pub fn upsample_nearest(x: &Tensor, factor: usize) -> Tensor {
    let [frames, height, width, channels] = x.sizes();
    let x = to_f32(x);
    let from = x.f32s();
    let mut y = Tensor::scratch([frames, height * factor, width * factor, channels]);
    if y.element_count() == 0 {
        return y;
    }
    y.f32s_mut().par_chunks_mut(width * factor * channels).enumerate().for_each(|(line, out)| {
        let (frame, row) = (line / (height * factor), line % (height * factor) / factor);
        let line = &from[(frame * height + row) * width * channels..][..width * channels];
        for (pixel, copies) in line.chunks_exact(channels).zip(out.chunks_exact_mut(factor * channels)) {
            copies.chunks_exact_mut(channels).for_each(|copy| copy.copy_from_slice(pixel));
        }
    });
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn each_pixel_is_its_source() {
        for (dims, factor) in [([1, 1, 1, 1], 2), ([2, 3, 5, 7], 2), ([1, 2, 3, 4], 3)] {
            let x = Random::new(9).tensor(&dims);
            let y = upsample_nearest(&x, factor);
            let [t, h, w, c] = y.sizes();
            for i in 0..t * h * w * c {
                let at = [i / (h * w * c), i / (w * c) % h, i / c % w, i % c];
                assert_eq!(y.at(&at), x.at(&[at[0], at[1] / factor, at[2] / factor, at[3]]));
            }
        }
    }
}
