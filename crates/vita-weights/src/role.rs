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
    /// CLIP ViT-H. Canonical names: Hugging Face's (`vision_model.encoder.layers.0.self_attn.q_proj.weight`).
    ClipVision,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::DiffusionModel, Self::TextEncoder, Self::Vae, Self::ClipVision];

    /// "diffusion model", to stand after "the".
    pub fn noun(self) -> &'static str {
        match self {
            Self::DiffusionModel => "diffusion model",
            Self::TextEncoder => "text encoder",
            Self::Vae => "VAE",
            Self::ClipVision => "CLIP vision encoder",
        }
    }

    /// "a Wan diffusion model".
    pub fn with_article(self) -> &'static str {
        match self {
            Self::DiffusionModel => "a Wan diffusion model",
            Self::TextEncoder => "a UMT5 text encoder",
            Self::Vae => "a Wan VAE",
            Self::ClipVision => "a CLIP vision encoder",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}
