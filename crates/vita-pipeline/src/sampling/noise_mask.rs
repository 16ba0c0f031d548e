//! The part of a latent that is kept, and how it is held in place.

use vita_tensor::Tensor;

use crate::Error;

/// A mask on the grid of a latent: 1 where something is made, 0 where the latent is kept.
pub struct NoiseMask {
    /// `[T, h, w]`
    values: Vec<f32>,
    frames: usize,
}

impl NoiseMask {
    /// mask: `[t, h', w']`, resized linearly along each axis to `[T, h, w]`.
    ///
    /// # Errors
    /// If the mask has another form.
    pub fn new(mask: &Tensor, latent: [usize; 3]) -> Result<Self, Error> {
        let &[frames, rows, columns] = &*mask.dims() else {
            return Err(Error::NoiseMask { found: mask.dims() });
        };
        if frames * rows * columns == 0 {
            return Err(Error::NoiseMask { found: mask.dims() });
        }
        Ok(Self { values: resized(&mask.to_vec(), [frames, rows, columns], latent), frames: latent[0] })
    }

    /// `made` where something is made, `kept` where the latent is kept. Both `[C, T, h, w]`.
    pub fn blend(&self, made: &Tensor, kept: &Tensor) -> Tensor {
        let mut x = made.to_contiguous_f32();
        let kept = vita_ops::to_f32(kept);
        let planes = x.f32s_mut().chunks_exact_mut(self.values.len()).zip(kept.f32s().chunks_exact(self.values.len()));
        for (x, kept) in planes {
            for ((x, kept), mask) in x.iter_mut().zip(kept).zip(&self.values) {
                *x = *x * mask + kept * (1.0 - mask);
            }
        }
        x
    }

    /// A timestep for each latent frame: the share of it that is made.
    pub fn timesteps(&self, timestep: f32) -> Vec<f32> {
        let frame = self.values.len() / self.frames;
        let mean = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>() / frame as f64;
        self.values.chunks_exact(frame).map(|values| mean(values) as f32 * timestep).collect()
    }
}

/// Linear interpolation with centres of pixels aligned, as PyTorch's `trilinear`.
fn resized(values: &[f32], from: [usize; 3], to: [usize; 3]) -> Vec<f32> {
    let mut dims = from;
    let mut values = values.to_vec();
    for axis in 0..3 {
        if dims[axis] == to[axis] {
            continue;
        }
        let inner: usize = dims[axis + 1..].iter().product();
        let taps = crate::resize::linear_taps(dims[axis], to[axis]);
        let mut out = Vec::with_capacity(values.len() / dims[axis] * to[axis]);
        for block in values.chunks_exact(dims[axis] * inner) {
            for &(low, high, share) in &taps {
                let (low, high) = (&block[low * inner..][..inner], &block[high * inner..][..inner]);
                out.extend(low.iter().zip(high).map(|(low, high)| low * (1.0 - share) + high * share));
            }
        }
        values = out;
        dims[axis] = to[axis];
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_keeps_its_frames_and_stops_their_time() {
        let mut mask = Tensor::from_vec(vec![1.0; 12], [3, 2, 2]);
        mask.f32s_mut()[..4].fill(0.0);
        mask.f32s_mut()[4] = 0.0;
        let mask = NoiseMask::new(&mask, [3, 2, 2]).unwrap();
        assert_eq!(mask.timesteps(1000.0), [0.0, 750.0, 1000.0]);
        let [made, kept] = [2.0, 5.0].map(|value| Tensor::from_vec(vec![value; 24], [2, 3, 2, 2]));
        let blended = mask.blend(&made, &kept).to_vec();
        assert_eq!(blended[..12], [5.0, 5.0, 5.0, 5.0, 5.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
        assert_eq!(blended[..12], blended[12..]);
    }

    #[test]
    fn a_mask_of_another_size_is_resized() {
        let mask = Tensor::from_vec(vec![0.0, 1.0], [1, 1, 2]);
        let mask = NoiseMask::new(&mask, [2, 1, 4]).unwrap();
        // torch: interpolate([[[[[0., 1.]]]]], (2, 1, 4), mode="trilinear")
        assert_eq!(mask.values, [0.0, 0.25, 0.75, 1.0, 0.0, 0.25, 0.75, 1.0]);
        assert!(NoiseMask::new(&Tensor::zeros([2, 2]), [1, 2, 2]).is_err());
        assert!(NoiseMask::new(&Tensor::zeros([0, 2, 2]), [1, 2, 2]).is_err());
    }
}
