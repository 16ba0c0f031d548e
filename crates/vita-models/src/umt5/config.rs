//! Sizes of the text encoder.

use vita_weights::Umt5Facts;

/// Sizes of a UMT5 encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Rows of the table of embeddings.
    pub vocab_size: usize,
    /// Width of a token.
    pub dim: usize,
    /// Inner width of the gated feed-forward layers.
    pub ffn_dim: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Blocks.
    pub layers: usize,
    /// Kinds of distance that the tables of relative positions tell apart.
    pub buckets: usize,
}

impl Config {
    /// The encoder of all Wan models. Source: `umt5_xxl` of Wan2.1, `wan/modules/t5.py`.
    pub fn xxl() -> Self {
        Self { vocab_size: 256_384, dim: 4096, ffn_dim: 10_240, heads: 64, head_dim: 64, layers: 24, buckets: 32 }
    }

    /// Sizes found in a file. None is less than what the arithmetic needs, so that a file of empty tensors
    /// is found not to fit when it is loaded.
    pub fn of(facts: &Umt5Facts) -> Self {
        Self {
            vocab_size: facts.vocab_size.max(1),
            dim: facts.dim.max(1),
            ffn_dim: facts.ffn_dim.max(1),
            heads: facts.head_count.max(1),
            head_dim: facts.head_dim.max(1),
            layers: facts.layer_count,
            buckets: facts.bucket_count.max(4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_encoder_has_5_68_billion_parameters() {
        let Config { vocab_size, dim, ffn_dim, heads, head_dim, layers, buckets } = Config::xxl();
        let block = 4 * dim * heads * head_dim + 3 * dim * ffn_dim + buckets * heads + 2 * dim;
        assert_eq!(vocab_size * dim + layers * block + dim, 5_680_910_336);
    }
}
