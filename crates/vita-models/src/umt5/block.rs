//! One block of UMT5: attention with a bias by distance, then a gated feed-forward layer, each added to
//! the stream. L tokens, C width, H heads of width D, F inner width.

use vita_ops::{Activation, AttentionOptions, Linear, add, attention, mul, rms_norm, to_f32};
use vita_tensor::Tensor;
use vita_weights::{Result, Weights};

use super::position::position_bias;
use super::{Config, EPSILON};

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

    /// x: `[L, C]`; key_bias: `[L]`, `-inf` hides a token. Returns `[L, C]`.
    pub fn forward(&self, x: Tensor, key_bias: Option<&[f32]>) -> Tensor {
        let y = self.attention.forward(&x, key_bias);
        let x = add(x, &y);
        drop(y);
        let y = self.feed_forward.forward(&x);
        add(x, &y)
    }

    pub fn size_bytes(&self) -> usize {
        let SelfAttention { q, k, v, o, .. } = &self.attention;
        let DenseReluDense { wi_0, wi_1, wo, .. } = &self.feed_forward;
        [q, k, v, o, wi_0, wi_1, wo].into_iter().map(Linear::size_bytes).sum()
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

    fn forward(&self, x: &Tensor, key_bias: Option<&[f32]>) -> Tensor {
        let x = rms_norm(x, &self.layer_norm, EPSILON);
        let [count, _] = x.sizes();
        let head_dim = self.q.out_features() / self.heads;
        let project = |layer: &Linear| layer.forward(&x, Activation::None).reshape([count, self.heads, head_dim]);
        let (q, k, v) = (project(&self.q), project(&self.k), project(&self.v));
        let bias = position_bias(&self.relative_attention_bias, count);
        // T5 does not divide by sqrt(D): its weights are drawn smaller instead.
        let options = AttentionOptions { scale: 1.0, key_bias, position_bias: Some(&bias) };
        let y = attention(&q, &k, &v, options);
        self.o.forward(&y.reshape([count, self.heads * head_dim]), Activation::None)
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
