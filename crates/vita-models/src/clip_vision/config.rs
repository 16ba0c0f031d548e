//! Sizes of the vision encoder.

use vita_weights::ClipVisionFacts;

/// Sizes of a CLIP vision encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width of a token.
    pub dim: usize,
    /// Inner width of the feed-forward layers.
    pub ffn_dim: usize,
    /// Attention heads.
    pub heads: usize,
    /// Blocks, the last of which is not run.
    pub layers: usize,
    /// Pixels a side of a patch.
    pub patch_size: usize,
    /// Pixels a side of a picture.
    pub image_size: usize,
}

impl Config {
    /// ViT-H/14, the encoder of all Wan models that take one.
    /// Source: `clip_xlm_roberta_vit_h_14` of Wan2.1, `wan/modules/clip.py`.
    pub fn vit_h_14() -> Self {
        Self { dim: 1280, ffn_dim: 5120, heads: 16, layers: 32, patch_size: 14, image_size: 224 }
    }

    /// Sizes found in a file. None is less than what the arithmetic needs, so that a file of empty tensors
    /// is found not to fit when it is loaded.
    pub fn of(facts: &ClipVisionFacts) -> Self {
        Self {
            dim: facts.dim.max(1),
            ffn_dim: facts.ffn_dim.max(1),
            heads: facts.head_count.max(1),
            layers: facts.layer_count,
            patch_size: facts.patch_size.max(1),
            image_size: facts.image_size.max(facts.patch_size.max(1)),
        }
    }

    /// Features of a picture: one for each patch, and one of the whole.
    pub fn token_count(&self) -> usize {
        let side = self.image_size / self.patch_size;
        side * side + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_encoder_has_257_tokens_and_632_million_parameters() {
        let config = Config::vit_h_14();
        let Config { dim, ffn_dim, layers, patch_size, .. } = config;
        let linear = |outputs: usize, inputs: usize| outputs * inputs + outputs;
        let block = 4 * linear(dim, dim) + linear(ffn_dim, dim) + linear(dim, ffn_dim) + 4 * dim;
        let embeddings = dim + config.token_count() * dim + 3 * patch_size * patch_size * dim;
        assert_eq!(config.token_count(), 257);
        // Both norms outside of the blocks; without the projection of 1024 x 1280. Counted on transformers'
        // `CLIPVisionModel` of these sizes.
        assert_eq!(embeddings + layers * block + 4 * dim, 630_766_080);
    }
}
