//! Enhance-A-Video (Luo et al., 2025): how much frames look at each other decides how strongly attention counts.

use vita_tensor::Tensor;

/// The factor of a block's self-attention, at least 1. q and k: `[L, H, D]` before they are turned.
///
/// Tokens are taken `frames` at a time *in their order*, as the wrapper does. Within each such group and head the
/// attention of all to all is made; the mean of what does not look at itself, times `frames + weight`, is the factor.
pub fn factor(q: &Tensor, k: &Tensor, frames: usize, weight: f32) -> f32 {
    let [tokens, heads, width] = q.sizes();
    if frames < 2 {
        return 1.0;
    }
    let scale = 1.0 / (width as f32).sqrt();
    let (q, k) = (q.f32s(), k.f32s());
    let row = |values: &'_ [f32], token: usize, head: usize| {
        let start = (token * heads + head) * width;
        start..start + width.min(values.len() - start)
    };
    let groups = tokens / frames;
    let mut sum = 0.0f64;
    let mut logits = vec![0.0f32; frames];
    for group in 0..groups {
        for head in 0..heads {
            for query in 0..frames {
                let asked = &q[row(q, group * frames + query, head)];
                for (key, logit) in logits.iter_mut().enumerate() {
                    *logit = scale * dot(asked, &k[row(k, group * frames + key, head)]);
                }
                let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let total: f64 = logits.iter().map(|&logit| f64::from((logit - most).exp())).sum();
                sum += 1.0 - f64::from((logits[query] - most).exp()) / total;
            }
        }
    }
    let pairs = (groups * heads * frames * (frames - 1)) as f64;
    ((sum / pairs) as f32 * (frames as f32 + weight)).max(1.0)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums, so that the compiler can add side by side.
    let mut sums = [0.0f32; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of the wrapper's formula in PyTorch; the last would be below 1 with a negative weight.
    #[test]
    fn factors_are_pytorchs() {
        let wave = |dims: [usize; 3], turn: f64| {
            let count = dims.iter().product::<usize>();
            Tensor::from_vec((0..count).map(|i| 2.0 * (i as f64 * turn).sin() as f32).collect(), dims)
        };
        for (frames, dims, weight, want) in [
            (3, [12, 2, 8], 2.0, 1.714_394_7),
            (4, [8, 1, 16], 5.0, 2.405_662),
            (2, [6, 3, 10], 0.1, 1.055_549_7),
            (2, [6, 3, 10], -1.0, 1.0),
            (1, [6, 3, 10], 9.0, 1.0),
        ] {
            let got = factor(&wave(dims, 0.37), &wave(dims, 0.61), frames, weight);
            assert!((got - want).abs() < 1e-5, "{frames} frames: {got}, {want}");
        }
    }
}
