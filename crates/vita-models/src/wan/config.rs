//! Sizes of a Wan transformer: named ones, and those found in a checkpoint.

use vita_weights::Weights;

use super::{Error, Result};

/// Sizes of a Wan transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width of the residual stream, C.
    pub dim: usize,
    /// Width inside the feed-forward layers.
    pub ffn_dim: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Channels of the input: the noise latent's, and those concatenated to it.
    pub in_dim: usize,
    /// Channels of the velocity.
    pub out_dim: usize,
    /// Width of the prompt's embedding.
    pub text_dim: usize,
    /// Width of the timestep's table of cosines and sines.
    pub freq_dim: usize,
    /// The image branch of the cross-attention, where there is one.
    pub image: Option<ImageConfig>,
}

/// Sizes of the image branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    /// Width of the image features.
    pub dim: usize,
    /// Rows of the table that tells first and last frame apart, where there is one.
    pub positions: Option<usize>,
}

/// Sizes that all published models share.
impl Config {
    /// Width of a head.
    pub const HEAD_DIM: usize = 128;
    /// Latent frames, rows and columns of a token.
    pub const PATCH: [usize; 3] = [1, 2, 2];
    /// Rows of the prompt's embedding, padding included.
    pub const TEXT_LEN: usize = 512;
    /// Added to the variance by norms inside the blocks and the head.
    pub(super) const EPSILON: f32 = 1e-6;
    /// Base of the rotary embedding's wavelengths.
    pub(super) const ROPE_THETA: f64 = 10_000.0;
    /// No size is larger, so that products of sizes never overflow.
    const SIZE_MAX: usize = 1 << 17;
}

/// The published models.
impl Config {
    /// Wan2.1-T2V-1.3B. Source: Wan2.1 `wan/configs/wan_t2v_1_3B.py`.
    pub const fn t2v_1_3b() -> Self {
        Self {
            dim: 1536,
            ffn_dim: 8960,
            layers: 30,
            in_dim: 16,
            out_dim: 16,
            text_dim: 4096,
            freq_dim: 256,
            image: None,
        }
    }

    /// Wan2.1-T2V-14B. Source: Wan2.1 `wan/configs/wan_t2v_14B.py`.
    pub const fn t2v_14b() -> Self {
        Self { dim: 5120, ffn_dim: 13824, layers: 40, ..Self::t2v_1_3b() }
    }

    /// Wan2.1-I2V-14B-480P and -720P: 16 noise, 4 mask and 16 image channels in, and the image branch.
    /// Source: Wan2.1 `wan/configs/wan_i2v_14B.py`.
    pub const fn i2v_14b() -> Self {
        Self { in_dim: 36, image: Some(ImageConfig { dim: 1280, positions: None }), ..Self::t2v_14b() }
    }

    /// Wan2.2-T2V-A14B, either expert: the sizes of [`Self::t2v_14b`].
    /// Source: Wan2.2 `wan/configs/wan_t2v_A14B.py`.
    pub const fn t2v_a14b() -> Self {
        Self::t2v_14b()
    }

    /// Wan2.2-I2V-A14B, either expert: 36 channels in, no image branch.
    /// Source: Wan2.2 `wan/configs/wan_i2v_A14B.py`.
    pub const fn i2v_a14b() -> Self {
        Self { in_dim: 36, ..Self::t2v_14b() }
    }

    /// Wan2.2-TI2V-5B. Source: Wan2.2 `wan/configs/wan_ti2v_5B.py`.
    pub const fn ti2v_5b() -> Self {
        Self { dim: 3072, ffn_dim: 14336, in_dim: 48, out_dim: 48, ..Self::t2v_1_3b() }
    }
}

impl Config {
    /// Sizes of a checkpoint, from its tensors' names and shapes.
    ///
    /// # Errors
    /// If a tensor that tells a size is missing or of another rank, or the sizes are impossible.
    pub fn of(weights: &Weights) -> Result<Self> {
        let facts = weights.dit_facts()?;
        let image = weights.scope("img_emb");
        let config = Self {
            dim: facts.dim,
            ffn_dim: facts.ffn_dim,
            layers: facts.layer_count,
            in_dim: facts.in_channels,
            out_dim: facts.out_channels,
            text_dim: facts.text_dim,
            freq_dim: facts.freq_dim,
            image: facts.image_branch.then(|| ImageConfig {
                dim: image.dims("proj.0.bias").map_or(0, |dims| dims.element_count()),
                positions: image
                    .dims("emb_pos")
                    .map(|dims| dims.element_count() / dims.last().map_or(1, |&width| width.max(1))),
            }),
        };
        config.check().map_err(|problem| Error::Sizes { file: weights.checkpoint().name().into(), problem })?;
        Ok(config)
    }

    /// Heads of [`Self::HEAD_DIM`].
    pub const fn heads(&self) -> usize {
        self.dim / Self::HEAD_DIM
    }

    /// Number of weights.
    pub const fn parameter_count(&self) -> u64 {
        let &Self { dim, ffn_dim, in_dim, out_dim, text_dim, freq_dim, .. } = self;
        let patch = Self::PATCH[0] * Self::PATCH[1] * Self::PATCH[2];
        let mut block = 6 * dim // modulation
            + 2 * dim // norm3
            + 2 * (4 * linear(dim, dim) + 2 * dim) // self_attn, cross_attn
            + linear(ffn_dim, dim)
            + linear(dim, ffn_dim);
        let mut rest = linear(dim, in_dim * patch) // patch_embedding
            + linear(dim, text_dim) + linear(dim, dim) // text_embedding
            + linear(dim, freq_dim) + linear(dim, dim) // time_embedding
            + linear(6 * dim, dim) // time_projection
            + linear(patch * out_dim, dim) + 2 * dim; // head
        if let Some(image) = self.image {
            block += 2 * linear(dim, dim) + dim; // k_img, v_img, norm_k_img
            rest += 2 * image.dim + linear(image.dim, image.dim) + linear(dim, image.dim) + 2 * dim; // img_emb.proj
            if let Some(positions) = image.positions {
                rest += positions * image.dim; // img_emb.emb_pos
            }
        }
        (self.layers * block + rest) as u64
    }

    fn check(&self) -> Result<(), String> {
        if self.dim == 0 || !self.dim.is_multiple_of(Self::HEAD_DIM) {
            return Err(format!("its width is {}, expected a multiple of {}", self.dim, Self::HEAD_DIM));
        }
        if self.freq_dim == 0 || !self.freq_dim.is_multiple_of(2) {
            return Err(format!("its table of timesteps is {} wide, expected an even width", self.freq_dim));
        }
        let sizes = [self.dim, self.ffn_dim, self.layers, self.in_dim, self.out_dim, self.text_dim, self.freq_dim];
        let image = self.image.map_or([1; 2], |image| [image.dim, image.positions.unwrap_or(1)]);
        match sizes.into_iter().chain(image).find(|size| !(1..=Self::SIZE_MAX).contains(size)) {
            Some(size) => Err(format!("one of its sizes is {size}")),
            None => Ok(()),
        }
    }
}

const fn linear(out_features: usize, in_features: usize) -> usize {
    out_features * in_features + out_features
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_models_have_their_published_parameter_counts() {
        // Counted on diffusers' WanTransformer3DModel, built with the sizes of the models' own config files.
        let first_last = Config { image: Some(ImageConfig { dim: 1280, positions: Some(514) }), ..Config::i2v_14b() };
        for (name, config, heads, parameters) in [
            ("Wan2.1-T2V-1.3B", Config::t2v_1_3b(), 12, 1_418_996_800),
            ("Wan2.1-T2V-14B", Config::t2v_14b(), 40, 14_288_491_584),
            ("Wan2.1-I2V-14B", Config::i2v_14b(), 40, 16_394_878_784),
            ("Wan2.1-FLF2V-14B", first_last, 40, 16_395_536_704),
            ("Wan2.2-T2V-A14B", Config::t2v_a14b(), 40, 14_288_491_584),
            ("Wan2.2-I2V-A14B", Config::i2v_a14b(), 40, 14_288_901_184),
            ("Wan2.2-TI2V-5B", Config::ti2v_5b(), 24, 4_999_787_712),
        ] {
            assert_eq!((config.heads(), config.parameter_count()), (heads, parameters), "{name}");
            assert_eq!(config.check(), Ok(()), "{name}");
        }
    }

    #[test]
    fn impossible_sizes_are_named() {
        let problem = |config: Config| config.check().unwrap_err();
        let good = Config::t2v_1_3b();
        assert_eq!(problem(Config { dim: 1500, ..good }), "its width is 1500, expected a multiple of 128");
        assert_eq!(problem(Config { freq_dim: 3, ..good }), "its table of timesteps is 3 wide, expected an even width");
        assert_eq!(problem(Config { layers: 0, ..good }), "one of its sizes is 0");
    }
}
