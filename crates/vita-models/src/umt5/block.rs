//! One block of UMT5: attention with a bias by distance, then a gated feed-forward layer, each added to
//! the stream. L tokens, C width, H heads of width D, F inner width.

use std::sync::Arc;

use vita_ops::{
    Activation, AttentionOptions, Card, Linear, add, attention, mul, put_rows, rms_norm, room_for_rows, to_card, to_f32,
};
use vita_tensor::{Failure, Tensor};
use vita_weights::{Result, Weights};

use super::position::position_bias;
use super::{Config, EPSILON};

/// What the rows of x are: the tokens of one prompt after the other. Only in the attention do tokens meet, and those of
/// different prompts never do.
pub struct Prompts<'a> {
    /// Tokens of each.
    pub lengths: &'a [usize],
    /// Of one prompt alone: added to the logits of its keys, `-inf` hides a token.
    pub key_bias: Option<&'a [f32]>,
}

pub struct Block {
    attention: SelfAttention,     // layer.0
    feed_forward: DenseReluDense, // layer.1
}

impl Block {
    pub fn load(weights: &Weights, config: &Config) -> Result<Self> {
        let layer = weights.scope("layer");
        Ok(Self {
            attention: SelfAttention::load(&layer.scope(0), config)?,
            feed_forward: DenseReluDense::load(&layer.scope(1), config)?,
        })
    }

    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self, Failure> {
        let Self { attention: SelfAttention { layer_norm, q, k, v, o, relative_attention_bias, heads }, feed_forward } =
            self;
        let attention = SelfAttention {
            layer_norm: to_card(card, layer_norm).made()?,
            q: q.to_card(card)?,
            k: k.to_card(card)?,
            v: v.to_card(card)?,
            o: o.to_card(card)?,
            // Looked up on the host.
            relative_attention_bias: relative_attention_bias.clone(),
            heads: *heads,
        };
        let DenseReluDense { layer_norm, wi_0, wi_1, wo } = feed_forward;
        let feed_forward = DenseReluDense {
            layer_norm: to_card(card, layer_norm).made()?,
            wi_0: wi_0.to_card(card)?,
            wi_1: wi_1.to_card(card)?,
            wo: wo.to_card(card)?,
        };
        Ok(Self { attention, feed_forward })
    }

    /// x: `[L, C]`. Returns `[L, C]`.
    pub fn forward(&self, x: Tensor, prompts: &Prompts) -> Tensor {
        let y = self.attention.forward(&x, prompts);
        let x = add(x, &y);
        drop(y);
        let y = self.feed_forward.forward(&x);
        add(x, &y)
    }

    /// Asks for the weights' pages, see [`Linear::read_ahead`].
    pub fn read_ahead(&self) {
        self.layers().into_iter().for_each(Linear::read_ahead);
    }

    pub fn size_bytes(&self) -> usize {
        self.layers().into_iter().map(Linear::size_bytes).sum()
    }

    /// In the order they run.
    fn layers(&self) -> [&Linear; 7] {
        let SelfAttention { q, k, v, o, .. } = &self.attention;
        let DenseReluDense { wi_0, wi_1, wo, .. } = &self.feed_forward;
        [q, k, v, o, wi_0, wi_1, wo]
    }
}

struct SelfAttention {
    layer_norm: Tensor, // [C]
    q: Linear,          // [H D, C], as are k and v
    k: Linear,
    v: Linear,
    o: Linear,                       // [C, H D]
    relative_attention_bias: Tensor, // [buckets, H]
    heads: usize,
}

impl SelfAttention {
    fn load(weights: &Weights, config: &Config) -> Result<Self> {
        let &Config { dim, heads, head_dim, buckets, .. } = config;
        let own = weights.scope("SelfAttention");
        let inner = heads * head_dim;
        Ok(Self {
            layer_norm: to_f32(&weights.get("layer_norm.weight", &[dim])?),
            q: linear(&own, "q", [inner, dim])?,
            k: linear(&own, "k", [inner, dim])?,
            v: linear(&own, "v", [inner, dim])?,
            o: linear(&own, "o", [dim, inner])?,
            relative_attention_bias: own.get("relative_attention_bias.weight", &[buckets, heads])?,
            heads,
        })
    }

    fn forward(&self, x: &Tensor, prompts: &Prompts) -> Tensor {
        let x = rms_norm(x, &self.layer_norm, EPSILON);
        let [count, _] = x.sizes();
        let head_dim = self.q.out_features() / self.heads;
        let project = |layer: &Linear| layer.forward(&x, Activation::None).reshape([count, self.heads, head_dim]);
        let [q, k, v] = [&self.q, &self.k, &self.v].map(project);
        let attend = |start: usize, length: usize| {
            let bias = position_bias(&self.relative_attention_bias, length);
            // T5 does not divide by sqrt(D): its weights are drawn smaller instead.
            let (key_bias, position_bias) = (prompts.key_bias, Some(&bias));
            let options = AttentionOptions { key_bias, position_bias, ..AttentionOptions::scaled(1.0) };
            let [q, k, v] = [&q, &k, &v].map(|rows| rows.narrow(0, start, length));
            attention(&q, &k, &v, options).reshape([length, self.heads * head_dim])
        };
        let y = match *prompts.lengths {
            [length] => attend(0, length),
            _ => {
                let mut start = 0;
                let mut all = room_for_rows(&q.reshape([count, self.heads * head_dim]), count);
                for &length in prompts.lengths {
                    put_rows(&mut all, start, &attend(start, length));
                    start += length;
                }
                all
            }
        };
        self.o.forward(&y, Activation::None)
    }
}

/// `wo(gelu(wi_0(x)) * wi_1(x))`; the name is from the first T5, which had ReLU.
struct DenseReluDense {
    layer_norm: Tensor, // [C]
    wi_0: Linear,       // [F, C]
    wi_1: Linear,       // [F, C]
    wo: Linear,         // [C, F]
}

impl DenseReluDense {
    fn load(weights: &Weights, config: &Config) -> Result<Self> {
        let &Config { dim, ffn_dim, .. } = config;
        let own = weights.scope("DenseReluDense");
        Ok(Self {
            layer_norm: to_f32(&weights.get("layer_norm.weight", &[dim])?),
            wi_0: linear(&own, "wi_0", [ffn_dim, dim])?,
            wi_1: linear(&own, "wi_1", [ffn_dim, dim])?,
            wo: linear(&own, "wo", [dim, ffn_dim])?,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let x = rms_norm(x, &self.layer_norm, EPSILON);
        let gate = self.wi_0.forward(&x, Activation::GeluTanh);
        let y = mul(gate, &self.wi_1.forward(&x, Activation::None));
        drop(x);
        self.wo.forward(&y, Activation::None)
    }
}

fn linear(weights: &Weights, name: &str, dims: [usize; 2]) -> Result<Linear> {
    let weight = weights.weight(&format!("{name}.weight"), &dims)?;
    Ok(Linear::new(&weight.tensor, weight.scale, None))
}
