//! Attention as its definition reads, in `f64`.

use vita_tensor::Tensor;

use super::AttentionOptions;

pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions) -> Tensor {
    let ([queries, heads, width], [keys, ..]) = (q.sizes::<3>(), k.sizes::<3>());
    let mut out = Vec::with_capacity(queries * heads * width);
    for i in 0..queries {
        for head in 0..heads {
            let logits: Vec<f64> = (0..keys)
                .map(|j| {
                    let product: f64 = (0..width).map(|d| q.at(&[i, head, d]) * k.at(&[j, head, d])).sum();
                    let key_bias = options.key_bias.map_or(0.0, |bias| f64::from(bias[j]));
                    let position_bias = options.position_bias.map_or(0.0, |bias| bias.at(&[head, i + keys - 1 - j]));
                    product * f64::from(options.scale) + key_bias + position_bias
                })
                .collect();
            let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = logits.iter().map(|logit| (logit - max).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for d in 0..width {
                let value: f64 = (0..keys).map(|j| weights[j] * v.at(&[j, head, d])).sum();
                out.push((value / sum) as f32);
            }
        }
    }
    Tensor::from_vec(out, [queries, heads, width])
}
