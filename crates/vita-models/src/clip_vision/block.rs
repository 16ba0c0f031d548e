//! One block: attention, then a feed-forward layer, each added to the stream.

use std::sync::Arc;

use vita_ops::{Activation, Affine, AttentionOptions, Card, Linear, add, attention, layer_norm, to_card, to_f32};
use vita_tensor::{Failure, Tensor};
use vita_weights::{Result, Weight, Weights};

use super::{Config, EPSILON};

pub struct Block {
    layer_norm1: LayerNorm,
    self_attn: SelfAttention,
    layer_norm2: LayerNorm,
    fc1: Linear, // mlp.fc1, [F, C]
    fc2: Linear, // mlp.fc2, [C, F]
}

impl Block {
    pub fn load(weights: &Weights, config: &Config) -> Result<Self> {
        let &Config { dim, ffn_dim, .. } = config;
        let mlp = weights.scope("mlp");
        Ok(Self {
            layer_norm1: LayerNorm::load(&weights.scope("layer_norm1"), dim)?,
            self_attn: SelfAttention::load(&weights.scope("self_attn"), config)?,
            layer_norm2: LayerNorm::load(&weights.scope("layer_norm2"), dim)?,
            fc1: linear(&mlp.scope("fc1"), [ffn_dim, dim])?,
            fc2: linear(&mlp.scope("fc2"), [dim, ffn_dim])?,
        })
    }

    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self, Failure> {
        let Self { layer_norm1, self_attn, layer_norm2, fc1, fc2 } = self;
        let SelfAttention { q_proj, k_proj, v_proj, out_proj, heads } = self_attn;
        let self_attn = SelfAttention {
            q_proj: q_proj.to_card(card)?,
            k_proj: k_proj.to_card(card)?,
            v_proj: v_proj.to_card(card)?,
            out_proj: out_proj.to_card(card)?,
            heads: *heads,
        };
        Ok(Self {
            layer_norm1: layer_norm1.to_card(card)?,
            self_attn,
            layer_norm2: layer_norm2.to_card(card)?,
            fc1: fc1.to_card(card)?,
            fc2: fc2.to_card(card)?,
        })
    }

    /// x: `[L, C]`. Returns `[L, C]`.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let y = self.self_attn.forward(&self.layer_norm1.forward(&x));
        let x = add(x, &y);
        drop(y);
        let y = self.fc1.forward(&self.layer_norm2.forward(&x), Activation::GeluErf);
        add(x, &self.fc2.forward(&y, Activation::None))
    }

    pub fn size_bytes(&self) -> usize {
        let SelfAttention { q_proj, k_proj, v_proj, out_proj, .. } = &self.self_attn;
        [q_proj, k_proj, v_proj, out_proj, &self.fc1, &self.fc2].into_iter().map(Linear::size_bytes).sum()
    }
}

struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    heads: usize,
}

impl SelfAttention {
    fn load(weights: &Weights, config: &Config) -> Result<Self> {
        let &Config { dim, heads, .. } = config;
        let [q_proj, k_proj, v_proj] = match weights.contains("qkv_proj.weight") {
            true => fused(&weights.scope("qkv_proj"), dim)?,
            false => [
                linear(&weights.scope("q_proj"), [dim, dim])?,
                linear(&weights.scope("k_proj"), [dim, dim])?,
                linear(&weights.scope("v_proj"), [dim, dim])?,
            ],
        };
        Ok(Self { q_proj, k_proj, v_proj, out_proj: linear(&weights.scope("out_proj"), [dim, dim])?, heads })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let [count, dim] = x.sizes();
        let width = dim / self.heads;
        let project = |layer: &Linear| layer.forward(x, Activation::None).reshape([count, self.heads, width]);
        let (q, k, v) = (project(&self.q_proj), project(&self.k_proj), project(&self.v_proj));
        let scale = 1.0 / (width as f32).sqrt();
        let y = attention(&q, &k, &v, AttentionOptions::scaled(scale));
        self.out_proj.forward(&y.reshape([count, dim]), Activation::None)
    }
}

/// `layer_norm(x) * weight + bias`.
pub struct LayerNorm {
    weight: Tensor, // [C]
    bias: Tensor,   // [C]
}

impl LayerNorm {
    pub fn load(weights: &Weights, dim: usize) -> Result<Self> {
        Ok(Self { weight: to_f32(&weights.get("weight", &[dim])?), bias: to_f32(&weights.get("bias", &[dim])?) })
    }

    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self, Failure> {
        Ok(Self { weight: to_card(card, &self.weight).made()?, bias: to_card(card, &self.bias).made()? })
    }

    /// x: `[L, C]`. Returns `[L, C]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        layer_norm(x, Affine::Weight { weight: &self.weight, bias: &self.bias }, EPSILON)
    }
}

fn linear(weights: &Weights, dims: [usize; 2]) -> Result<Linear> {
    let Weight { tensor, scale } = weights.weight("weight", &dims)?;
    Ok(Linear::new(&tensor, scale, Some(&weights.get("bias", &dims[..1])?)))
}

/// Query, key and value from one layer of three times the rows.
fn fused(weights: &Weights, dim: usize) -> Result<[Linear; 3]> {
    let Weight { tensor, scale } = weights.weight("weight", &[3 * dim, dim])?;
    let bias = weights.get("bias", &[3 * dim])?;
    Ok([0, 1, 2]
        .map(|part| Linear::new(&tensor.narrow(0, part * dim, dim), scale, Some(&bias.narrow(0, part * dim, dim)))))
}
