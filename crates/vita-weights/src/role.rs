//! The places of a pipeline that a checkpoint can fill.

use std::fmt;

/// What a network is for. Decides which names and prefixes are looked for in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The Wan transformer. Canonical names: the original ones (`blocks.0.self_attn.q.weight`).
    DiffusionModel,
    /// UMT5. Canonical names: Hugging Face's (`encoder.block.0.layer.0.SelfAttention.q.weight`).
    TextEncoder,
    /// The Wan autoencoder. Canonical names: the original ones (`decoder.middle.0.residual.0.gamma`).
    Vae,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DiffusionModel, Self::TextEncoder, Self::Vae];

    /// "diffusion model", to stand after "the".
    pub fn noun(self) -> &'static str {
        match self {
            Self::DiffusionModel => "diffusion model",
            Self::TextEncoder => "text encoder",
            Self::Vae => "VAE",
        }
    }

    /// "a Wan diffusion model".
    pub fn with_article(self) -> &'static str {
        match self {
            Self::DiffusionModel => "a Wan diffusion model",
            Self::TextEncoder => "a UMT5 text encoder",
            Self::Vae => "a Wan VAE",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}
