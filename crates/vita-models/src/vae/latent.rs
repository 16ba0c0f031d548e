//! The scale of latents in the sampler, and their quick look as colours.

use vita_ops::scale_bias_channels;
use vita_tensor::Tensor;

/// Numbers that belong to one autoencoder's latents, one a channel.
pub struct LatentFormat {
    /// Mean of raw latents.
    pub mean: &'static [f32],
    /// Standard deviation of raw latents.
    pub std: &'static [f32],
    /// What a channel of a normalised latent adds to red, green and blue (-1..1).
    pub rgb_factors: &'static [[f32; 3]],
    /// What is added to all pixels.
    pub rgb_bias: [f32; 3],
}

impl LatentFormat {
    /// `(z - mean) / std` of a raw latent `[C, ..]`: what the transformer works on.
    ///
    /// # Panics
    /// If there are not as many channels.
    pub fn normalize(&self, raw: &Tensor) -> Tensor {
        let scale: Vec<f32> = self.std.iter().map(|std| 1.0 / std).collect();
        let shift: Vec<f32> = self.mean.iter().zip(self.std).map(|(mean, std)| -mean / std).collect();
        scale_bias_channels(raw, &scale, &shift)
    }

    /// `z * std + mean` of a normalised latent `[C, ..]`: what the decoder takes.
    ///
    /// # Panics
    /// If there are not as many channels.
    pub fn denormalize(&self, normalised: &Tensor) -> Tensor {
        scale_bias_channels(normalised, self.std, self.mean)
    }

    /// One latent frame as a small picture: `[h, w, 3]` in 0..1, from a normalised latent `[C, T, h, w]`.
    ///
    /// # Panics
    /// If there are not as many channels, or no such frame.
    pub fn preview(&self, latent: &Tensor, frame: usize) -> Tensor {
        let [channels, _, height, width] = latent.sizes();
        assert_eq!(channels, self.rgb_factors.len(), "channels of a latent {}", latent.dims());
        let planes = latent.select(1, frame).to_vec(); // [C, h, w]
        let mut picture = Tensor::scratch([height, width, 3]);
        for (i, pixel) in picture.f32s_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let mut rgb = self.rgb_bias;
            for (plane, factors) in planes.chunks_exact(height * width).zip(self.rgb_factors) {
                rgb.iter_mut().zip(factors).for_each(|(sum, factor)| *sum += plane[i] * factor);
            }
            *pixel = rgb.map(|value| ((value + 1.0) / 2.0).clamp(0.0, 1.0));
        }
        picture
    }
}

/// Latents of the Wan 2.1 autoencoder, which Wan 2.2's 14B models use too.
/// Sources: `WanVAE` of Wan2.1 (`wan/modules/vae.py`), `latent_formats.Wan21` of ComfyUI.
pub static WAN21: LatentFormat = LatentFormat {
    mean: &[
        -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632, -0.1922,
        -0.9497, 0.2503, -0.2921,
    ],
    std: &[
        2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253,
        2.8251, 1.9160,
    ],
    rgb_factors: &[
        [-0.1299, -0.1692, 0.2932],
        [0.0671, 0.0406, 0.0442],
        [0.3568, 0.2548, 0.1747],
        [0.0372, 0.2344, 0.1420],
        [0.0313, 0.0189, -0.0328],
        [0.0296, -0.0956, -0.0665],
        [-0.3477, -0.4059, -0.2925],
        [0.0166, 0.1902, 0.1975],
        [-0.0412, 0.0267, -0.1364],
        [-0.1293, 0.0740, 0.1636],
        [0.0680, 0.3019, 0.1128],
        [0.0032, 0.0581, 0.0639],
        [-0.1251, 0.0927, 0.1699],
        [0.0060, -0.0633, 0.0005],
        [0.3477, 0.2275, 0.2950],
        [0.1984, 0.0913, 0.1861],
    ],
    rgb_bias: [-0.1835, -0.0868, -0.3360],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalising_and_back() {
        let raw = Tensor::from_vec((0..64).map(|i| i as f32 * 0.1 - 3.0).collect(), [16, 1, 2, 2]);
        let normalised = WAN21.normalize(&raw);
        assert!((normalised.at(&[2, 0, 1, 0]) - (f64::from(raw.to_vec()[10]) + 0.9113) / 2.3275).abs() < 1e-6);
        for (got, want) in WAN21.denormalize(&normalised).to_vec().into_iter().zip(raw.to_vec()) {
            assert!((got - want).abs() < 1e-5);
        }
    }

    #[test]
    fn a_preview_is_the_weighted_channels_in_range() {
        let mut latent = Tensor::zeros([16, 2, 1, 2]);
        latent.f32s_mut()[2 * 4 + 2] = 1.0; // channel 2, frame 1, column 0
        let picture = WAN21.preview(&latent, 1).to_vec();
        let want =
            [0.3568 - 0.1835, 0.2548 - 0.0868, 0.1747 - 0.336, -0.1835, -0.0868, -0.336].map(|v| (v + 1.0) / 2.0);
        for (got, want) in picture.into_iter().zip(want) {
            assert!((got - want).abs() < 1e-6);
        }
        latent.f32s_mut().fill(100.0);
        assert!(WAN21.preview(&latent, 0).to_vec().into_iter().all(|value| value == 0.0 || value == 1.0));
    }
}
