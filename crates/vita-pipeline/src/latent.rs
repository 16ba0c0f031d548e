//! Latents between parts, and the scale that they are on.

use std::fmt;
use std::sync::Arc;

use vita_models::vae::{LatentFormat, WAN21, WAN22};
use vita_sampling::noise::Generator;
use vita_tensor::Tensor;

use crate::Error;

/// A latent video.
#[derive(Clone, Debug)]
pub struct Latent {
    /// `[C, T, h, w]`
    pub samples: Tensor,
    /// `[t, h', w']`, 1 where something is to be made and 0 where the latent is to be kept; resized to
    /// the latent where it has another size. `None` makes all of it.
    pub noise_mask: Option<Tensor>,
    /// The scale of `samples`.
    pub space: LatentSpace,
    /// Where the generator of the noise in it stands, for a run of the Wan wrapper to go on from.
    pub noise_state: Option<NoiseState>,
}

/// Where a generator of noise stands. Cheap to clone.
#[derive(Clone)]
pub struct NoiseState(Arc<Generator>);

impl NoiseState {
    pub(crate) fn new(generator: &Generator) -> Self {
        Self(Arc::new(generator.clone()))
    }

    pub(crate) fn generator(&self) -> Generator {
        (*self.0).clone()
    }
}

impl fmt::Debug for NoiseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoiseState")
    }
}

/// The scale of a latent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatentSpace {
    /// As the autoencoder gives it: ComfyUI's own nodes.
    Raw,
    /// `(z - mean) / std`, as the transformer takes it: the Wan wrapper's nodes.
    Normalised,
}

impl Latent {
    /// Nothing yet: zeros `[C, T, h, w]`, which are nothing on either scale.
    pub fn zeros(dims: [usize; 4]) -> Self {
        Self::raw(Tensor::zeros(dims))
    }

    /// A latent as the autoencoder gives it, `[C, T, h, w]`.
    pub fn raw(samples: Tensor) -> Self {
        Self { samples, noise_mask: None, space: LatentSpace::Raw, noise_state: None }
    }

    /// A latent as the transformer takes it, `[C, T, h, w]`.
    pub fn normalised(samples: Tensor) -> Self {
        Self { samples, noise_mask: None, space: LatentSpace::Normalised, noise_state: None }
    }

    /// `[C, T, h, w]`
    ///
    /// # Errors
    /// If the samples have not four axes.
    pub fn sizes(&self) -> Result<[usize; 4], Error> {
        let dims = self.samples.dims();
        (&*dims).try_into().map_err(|_| Error::LatentShape { found: dims, expected: "[C, T, h, w]".into() })
    }

    /// The samples on a scale. Zeros stay zeros, as in ComfyUI: they stand for nothing.
    ///
    /// # Errors
    /// If the scale of so many channels is not known.
    pub fn samples_in(&self, space: LatentSpace) -> Result<Tensor, Error> {
        let [channels, ..] = self.sizes()?;
        if self.space == space || is_zero(&self.samples) {
            return Ok(vita_ops::to_f32(&self.samples));
        }
        let format = latent_format(channels)?;
        Ok(match space {
            LatentSpace::Raw => format.denormalize(&self.samples),
            LatentSpace::Normalised => format.normalize(&self.samples),
        })
    }
}

/// The scale of latents of so many channels.
///
/// # Errors
/// If no Wan autoencoder has as many.
pub fn latent_format(channels: usize) -> Result<&'static LatentFormat, Error> {
    [&WAN21, &WAN22]
        .into_iter()
        .find(|format| format.mean.len() == channels)
        .ok_or(Error::LatentChannels { found: channels })
}

pub(crate) fn is_zero(samples: &Tensor) -> bool {
    vita_ops::to_f32(samples).f32s().iter().all(|&value| value == 0.0)
}

/// Tensors `[C_i, T, h, w]` of equal frames, one above the other: `[sum of C_i, T, h, w]`.
pub(crate) fn concat_channels(parts: &[&Tensor]) -> Tensor {
    let dims = parts[0].dims();
    let channels = parts.iter().map(|part| part.dims()[0]).sum();
    let mut whole = Tensor::scratch([channels, dims[1], dims[2], dims[3]]);
    let mut rest = whole.f32s_mut();
    for part in parts {
        let part = vita_ops::to_f32(part);
        let (here, after) = rest.split_at_mut(part.element_count());
        here.copy_from_slice(part.f32s());
        rest = after;
    }
    whole
}

/// Latents `[C, t, h, w]` one after the other in time.
pub(crate) fn join_frames(parts: &[&Tensor]) -> Tensor {
    let [channels, _, rows, columns] = parts[0].sizes();
    let parts: Vec<Tensor> = parts.iter().map(|part| vita_ops::to_f32(part)).collect();
    let frames: usize = parts.iter().map(|part| part.dims()[1]).sum();
    let mut values = Vec::with_capacity(channels * frames * rows * columns);
    for channel in 0..channels {
        for part in &parts {
            let clip = part.dims()[1] * rows * columns;
            values.extend_from_slice(&part.f32s()[channel * clip..][..clip]);
        }
    }
    Tensor::from_vec(values, [channels, frames, rows, columns])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_are_joined_channel_by_channel() {
        let first = Tensor::from_vec((0..8).map(|i| i as f32).collect(), [2, 2, 1, 2]);
        let then = Tensor::from_vec(vec![8.0, 9.0, 10.0, 11.0], [2, 1, 1, 2]);
        let all = join_frames(&[&first, &then]);
        assert_eq!(all.to_vec(), [0., 1., 2., 3., 8., 9., 4., 5., 6., 7., 10., 11.]);
    }

    #[test]
    fn scales_are_left_and_come_back_to_and_zeros_stay() {
        let raw = Latent::raw(Tensor::from_vec((0..32).map(|i| i as f32 * 0.1).collect(), [16, 1, 1, 2]));
        let normalised = Latent::normalised(raw.samples_in(LatentSpace::Normalised).unwrap());
        let back = normalised.samples_in(LatentSpace::Raw).unwrap();
        for (got, want) in back.to_vec().into_iter().zip(raw.samples.to_vec()) {
            assert!((got - want).abs() < 1e-5);
        }
        let first = f64::from(normalised.samples.f32s()[1]);
        assert!((first - (0.1 + 0.7571) / 2.8184).abs() < 1e-6);
        let zeros = Latent::zeros([48, 1, 2, 2]);
        assert_eq!(zeros.samples_in(LatentSpace::Normalised).unwrap().to_vec(), [0.0; 192]);
        let odd = Latent::raw(Tensor::from_vec(vec![1.0; 5], [5, 1, 1, 1]));
        assert!(odd.samples_in(LatentSpace::Raw).is_ok() && odd.samples_in(LatentSpace::Normalised).is_err());
    }
}
