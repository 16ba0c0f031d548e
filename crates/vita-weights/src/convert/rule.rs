//! Which tensors are stored in how many bits.
//!
//! | tensors | 16 bits | fp8 | Q8_0 |
//! |---|---|---|---|
//! | matrices of blocks | 16 bits | e4m3 | Q8_0 |
//! | token embedding of UMT5 | 16 bits | 16 bits | Q8_0 |
//! | patch embedding | 16 bits | as it is | as it is |
//! | other matrices and kernels: time, text and image embedding, head | 16 bits | 16 bits | 16 bits |
//! | norms, biases, modulation, tables of positions | as they are | as they are | F32 |
//!
//! These are the choices of ComfyUI's and kijai's fp8 files and of city96's GGUF files. What has fewer bits already
//! keeps them where that format can: more bits would hold nothing more.

use vita_tensor::{DType, Dims};

use super::Numbers;
use crate::Role;

/// How a network is stored.
pub struct Target {
    pub role: Role,
    /// As it is where there are none.
    pub numbers: Option<Numbers>,
}

/// What a tensor is for, as far as its bits go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Of a linear layer in a block.
    Matrix,
    /// UMT5's rows of tokens.
    Tokens,
    /// The transformer's first layer.
    Patch,
    /// Other matrices and kernels.
    Other,
    /// Norms, biases, tables.
    Small,
}

impl Target {
    /// The element type of a tensor of a canonical name; `None` if nothing but a GGUF file could hold it as it is.
    pub fn dtype(&self, name: &str, dims: &Dims, source: DType) -> Option<DType> {
        let class = class(self.role, name, dims);
        let is_half = matches!(source, DType::F16 | DType::BF16);
        let is_eight_bit_float = matches!(source, DType::F8E4M3 | DType::F8E5M2);
        let half = if is_half { source } else { DType::BF16 };
        if !source.is_float() {
            return Some(source);
        }
        Some(match (self.numbers, class) {
            (None, _) if source.block().is_some() => return None,
            (None, _) => source,
            (Some(Numbers::F32), _) => DType::F32,
            (Some(Numbers::Q8_0), Class::Small) => DType::F32,
            (Some(Numbers::Q8_0), Class::Matrix | Class::Tokens) if in_blocks(dims) => DType::Q8_0,
            (Some(Numbers::Q8_0), Class::Patch) if source == DType::F32 => source,
            (Some(Numbers::Q8_0), _) if is_half => source,
            (Some(Numbers::Q8_0), _) => DType::F16,
            (Some(_), Class::Small) if is_half => source,
            (Some(_), Class::Small) => DType::F32,
            (Some(Numbers::F16), _) => DType::F16,
            (Some(Numbers::Bf16), _) => DType::BF16,
            (Some(Numbers::Fp8 | Numbers::Fp8Scaled), Class::Matrix) => DType::F8E4M3,
            (Some(Numbers::Fp8 | Numbers::Fp8Scaled), _) if is_eight_bit_float => source,
            (Some(Numbers::Fp8 | Numbers::Fp8Scaled), Class::Patch) if source == DType::F32 => source,
            (Some(Numbers::Fp8 | Numbers::Fp8Scaled), _) => half,
        })
    }

    /// Whether a tensor gets a scale of its own.
    pub fn is_scaled(&self, name: &str, dims: &Dims) -> bool {
        self.numbers == Some(Numbers::Fp8Scaled) && class(self.role, name, dims) == Class::Matrix
    }

    /// Whether a tensor is to be 8-bit floats without a scale.
    pub fn is_plain(&self, name: &str, dims: &Dims) -> bool {
        self.numbers == Some(Numbers::Fp8) && class(self.role, name, dims) == Class::Matrix
    }
}

fn in_blocks(dims: &Dims) -> bool {
    let block = DType::Q8_0.block().map_or(1, |block| block.len);
    dims.last().is_some_and(|row| row % block == 0)
}

fn class(role: Role, name: &str, dims: &Dims) -> Class {
    let is_table = ["modulation", "gamma", "emb_pos", "class_embedding"].iter().any(|end| name.ends_with(end))
        || name.contains("relative_attention_bias")
        || name.contains("position_embedding");
    let block = match role {
        Role::DiffusionModel => "blocks.",
        Role::TextEncoder => "encoder.block.",
        Role::Vae | Role::ClipVision => "vision_model.encoder.",
    };
    match name {
        _ if is_table || dims.len() < 2 => Class::Small,
        _ if name.starts_with(block) && dims.len() == 2 => Class::Matrix,
        "shared.weight" => Class::Tokens,
        "patch_embedding.weight" => Class::Patch,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_tensors() {
        use DType::{BF16, F8E4M3, F16, F32, Q4K, Q8_0};
        use Numbers::{Bf16, Fp8, Fp8Scaled};
        use Role::{DiffusionModel as Dit, TextEncoder as Text};
        let q = "blocks.3.self_attn.q.weight";
        let wo = "encoder.block.0.layer.1.DenseReluDense.wo.weight";
        for (role, name, dims, source, numbers, want) in [
            (Dit, q, &[64, 64][..], F16, Some(Fp8Scaled), Some(F8E4M3)),
            (Dit, q, &[64, 64], F16, Some(Numbers::Q8_0), Some(Q8_0)),
            (Dit, q, &[64, 40], F16, Some(Numbers::Q8_0), Some(F16)),
            (Dit, q, &[64, 64], Q4K, Some(Bf16), Some(BF16)),
            (Dit, q, &[64, 64], Q4K, None, None),
            (Dit, q, &[64, 64], F8E4M3, None, Some(F8E4M3)),
            (Dit, "blocks.3.self_attn.q.bias", &[64], F32, Some(Bf16), Some(F32)),
            (Dit, "blocks.3.self_attn.q.bias", &[64], F16, Some(Numbers::Q8_0), Some(F32)),
            (Dit, "blocks.3.modulation", &[1, 6, 64], BF16, Some(Fp8), Some(BF16)),
            (Dit, "blocks.3.modulation", &[1, 6, 64], F32, Some(Fp8), Some(F32)),
            (Dit, "patch_embedding.weight", &[64, 16, 1, 2, 2], F32, Some(Fp8Scaled), Some(F32)),
            (Dit, "patch_embedding.weight", &[64, 16, 1, 2, 2], F32, Some(Bf16), Some(BF16)),
            (Dit, "time_projection.1.weight", &[384, 64], F32, Some(Fp8Scaled), Some(BF16)),
            (Dit, "time_projection.1.weight", &[384, 64], F8E4M3, Some(Fp8Scaled), Some(F8E4M3)),
            (Dit, "head.head.weight", &[64, 64], F32, Some(Numbers::Q8_0), Some(F16)),
            (Dit, "head.head.weight", &[64, 64], F8E4M3, Some(Numbers::F32), Some(F32)),
            (Text, wo, &[64, 64], BF16, Some(Fp8Scaled), Some(F8E4M3)),
            (Text, "shared.weight", &[300, 64], BF16, Some(Fp8Scaled), Some(BF16)),
            (Text, "shared.weight", &[300, 64], BF16, Some(Numbers::Q8_0), Some(Q8_0)),
            (Role::Vae, "conv1.weight", &[32, 32, 1, 1, 1], F32, Some(Bf16), Some(BF16)),
            (Role::Vae, "decoder.head.0.gamma", &[32, 1, 1, 1], F32, Some(Bf16), Some(F32)),
        ] {
            let target = Target { role, numbers };
            assert_eq!(target.dtype(name, &Dims::try_new(dims).unwrap(), source), want, "{name} {source} {numbers:?}");
        }
    }
}
