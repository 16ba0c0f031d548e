//! One block: self-attention over video tokens, cross-attention to the prompt, then an MLP, each
//! added to the stream `x`. Follows `WanAttentionBlock` of Wan2.2.

use vita_ops::{Activation, Affine, Arrived, Upload, add, gated_add, layer_norm};
use vita_tensor::Tensor;
use vita_weights::Weights;

use super::adapt::Change;
use super::attention::{CrossAttention, CrossKeys, NagKeys, SelfAttention};
use super::layers::{LayerNorm, Mlp, Modulation};
use super::layout::Layout;
use super::{Config, Result};

/// `blocks.N`. `norm1` and `norm2` have no weights.
#[derive(Clone)]
pub struct Block {
    modulation: Modulation, // [6, C]
    self_attn: SelfAttention,
    norm3: LayerNorm, // second to run; named as in the checkpoint
    cross_attn: CrossAttention,
    ffn: Mlp,
}

/// What a block attends to beside the video.
#[derive(Clone, Copy)]
pub struct BlockPrompt<'a> {
    pub keys: &'a CrossKeys,
    /// What the attention is pushed away from.
    pub nag: Option<NagKeys<'a>>,
}

impl Block {
    pub fn load(weights: &Weights, config: &Config) -> Result<Self> {
        let &Config { dim, ffn_dim, .. } = config;
        Ok(Self {
            modulation: Modulation::load(weights, 6, dim)?,
            self_attn: SelfAttention::load(&weights.scope("self_attn"), dim)?,
            norm3: LayerNorm::load(&weights.scope("norm3"), dim, Config::EPSILON)?,
            cross_attn: CrossAttention::load(&weights.scope("cross_attn"), config)?,
            ffn: Mlp::load(&weights.scope("ffn"), [dim, ffn_dim, dim], Activation::GeluTanh)?,
        })
    }

    /// Changes everything in the block; `name` is `blocks.N`.
    pub fn change(&mut self, name: &str, change: &mut Change) {
        let Self { modulation, self_attn, norm3, cross_attn, ffn } = self;
        modulation.change(name, change);
        self_attn.change(&format!("{name}.self_attn"), change);
        norm3.change(&format!("{name}.norm3"), change);
        cross_attn.change(&format!("{name}.cross_attn"), change);
        ffn.change(&format!("{name}.ffn"), change);
    }

    pub fn upload<'a>(&'a self, upload: &mut Upload<'a>) -> Result<Self> {
        let Self { modulation, self_attn, norm3, cross_attn, ffn } = self;
        Ok(Self {
            modulation: modulation.to_card(upload.card())?,
            self_attn: self_attn.upload(upload)?,
            norm3: norm3.to_card(upload.card())?,
            cross_attn: cross_attn.upload(upload)?,
            ffn: ffn.upload(upload)?,
        })
    }

    /// With weights that came later, see [`Upload::later`].
    pub fn with_weights(&self, arrived: &Arrived) -> Self {
        Self {
            self_attn: self.self_attn.with_weights(arrived),
            cross_attn: self.cross_attn.with_weights(arrived),
            ffn: self.ffn.with_weights(arrived),
            ..self.clone()
        }
    }

    /// x: `[L, C]`, e: `[1 or T, 6, C]`, enhance: the weight of Enhance-A-Video. Returns `[L, C]`.
    pub fn forward(&self, x: Tensor, e: &Tensor, prompt: BlockPrompt, layout: &Layout, enhance: Option<f32>) -> Tensor {
        let [shift1, scale1, gate1, shift2, scale2, gate2] =
            std::array::from_fn(|i| self.modulation.plus(i, &e.select(1, i)));

        // Every query needs all keys, so these are gathered before the first part attends.
        let qkv = self
            .self_attn
            .project(layout, enhance, |part| modulated(&part.of(&x), &part.of_time(&shift1), &part.of_time(&scale1)));
        let x = layout.update(x, |part, x| gated_add(x, &self.self_attn.forward(part, &qkv), &part.of_time(&gate1)));
        drop(qkv);

        // From here on a token needs no other token.
        layout.update(x, |part, x| {
            // Cross-attention is neither modulated nor gated.
            let y = self.cross_attn.forward(self.norm3.forward(&x), prompt.keys, prompt.nag);
            let x = add(x, &y);
            drop(y);

            let y = modulated(&x, &part.of_time(&shift2), &part.of_time(&scale2));
            gated_add(x, &self.ffn.forward(y), &part.of_time(&gate2))
        })
    }

    /// What makes a prompt's keys and values, see [`CrossAttention::keys`].
    pub fn cross_attn(&self) -> &CrossAttention {
        &self.cross_attn
    }

    /// Asks for the pages of the weights that [`Self::forward`] needs, see [`vita_ops::Linear::read_ahead`], and of those
    /// that make the keys where these are not there yet.
    pub fn read_ahead(&self, has_keys: bool) {
        self.self_attn.read_ahead();
        if !has_keys {
            self.cross_attn.read_ahead_keys();
        }
        self.cross_attn.read_ahead();
        self.ffn.read_ahead();
    }

    pub fn size_bytes(&self) -> usize {
        let Self { modulation, self_attn, norm3: _, cross_attn, ffn } = self;
        modulation.size_bytes() + self_attn.size_bytes() + cross_attn.size_bytes() + ffn.size_bytes()
    }
}

/// `norm(x) * (1 + scale) + shift`. x: `[L, C]`, shift and scale: `[1 or T, C]`.
pub fn modulated(x: &Tensor, shift: &Tensor, scale: &Tensor) -> Tensor {
    layer_norm(x, Affine::Modulate { scale, shift }, Config::EPSILON)
}
