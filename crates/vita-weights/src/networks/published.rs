//! Sizes of the published networks, which their files' shapes give too.

use vita_tensor::Dims;

use super::clip_vision::ClipVisionFacts;
use super::dit::{DitFacts, DitVariant};
use super::umt5::Umt5Facts;
use super::vae::{VaeFacts, VaeGeneration};

impl DitFacts {
    /// Wan2.1 T2V 1.3B.
    pub const T2V_1_3B: Self = Self {
        dim: 1536,
        ffn_dim: 8960,
        head_count: 12,
        layer_count: 30,
        in_channels: 16,
        out_channels: 16,
        text_dim: 4096,
        freq_dim: 256,
        image_branch: false,
        image_dim: None,
        first_last_frame: false,
        variant: DitVariant::Plain,
    };

    /// Wan2.1 T2V 14B, and each expert of Wan2.2 T2V A14B.
    pub const T2V_14B: Self = Self { dim: 5120, ffn_dim: 13_824, head_count: 40, layer_count: 40, ..Self::T2V_1_3B };

    /// Wan2.1 I2V 14B.
    pub const I2V_14B: Self = Self { in_channels: 36, image_branch: true, image_dim: Some(1280), ..Self::T2V_14B };

    /// Each expert of Wan2.2 I2V A14B.
    pub const I2V_A14B: Self = Self { in_channels: 36, ..Self::T2V_14B };

    /// Wan2.2 TI2V 5B.
    pub const TI2V_5B: Self =
        Self { dim: 3072, ffn_dim: 14_336, head_count: 24, in_channels: 48, out_channels: 48, ..Self::T2V_1_3B };
}

impl Umt5Facts {
    /// UMT5-XXL.
    pub const XXL: Self = Self {
        vocab_size: 256_384,
        dim: 4096,
        ffn_dim: 10_240,
        head_count: 64,
        head_dim: 64,
        layer_count: 24,
        bucket_count: 32,
        table_in_every_layer: true,
    };
}

impl VaeFacts {
    /// Wan 2.1's.
    pub const WAN_21: Self = Self {
        generation: VaeGeneration::Wan21,
        encoder_dim: 96,
        decoder_dim: 96,
        latent_channels: 16,
        image_channels: 3,
    };

    /// Wan 2.2's, of TI2V 5B.
    pub const WAN_22: Self = Self {
        generation: VaeGeneration::Wan22,
        encoder_dim: 160,
        decoder_dim: 256,
        latent_channels: 48,
        image_channels: 12,
    };
}

impl ClipVisionFacts {
    /// ViT-H/14 for pictures of 224 x 224.
    pub fn vit_h_14() -> Self {
        Self {
            dim: 1280,
            ffn_dim: 5120,
            head_count: 16,
            layer_count: 32,
            patch_size: 14,
            image_size: 224,
            position_count: 257,
            fused_qkv: false,
            image_channels: 3,
            embedding_dims: [Dims::from([1280]), Dims::from([257, 1280])],
            unused: Vec::new(),
        }
    }
}
