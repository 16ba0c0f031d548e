//! Softmax attention, without the `L x S` matrix of weights.

mod card;
mod cpu;
#[cfg(test)]
mod reference;

use vita_cuda::ops::Mode;
use vita_tensor::Tensor;

use crate::card::Site;
use crate::simd::Isa;

/// How logits are made.
#[derive(Clone, Copy)]
pub struct AttentionOptions<'a> {
    /// Factor of `q . k`; usually `1 / sqrt(D)`.
    pub scale: f32,
    /// Added to every logit of a key, `[S]`. `-inf` hides a key (a key-length mask); `ln(n)` makes a key
    /// count as `n` equal ones.
    pub key_bias: Option<&'a [f32]>,
    /// `[H, L + S - 1]`, added to the logit of query `i` and key `j` from place `i - j + S - 1`: a bias of
    /// the distance alone, as T5's.
    pub position_bias: Option<&'a Tensor>,
    /// How precisely a card computes heads of 128 without biases.
    pub mode: Mode,
}

impl AttentionOptions<'_> {
    /// No biases, in 16 bits on a card.
    pub fn scaled(scale: f32) -> Self {
        Self { scale, key_bias: None, position_bias: None, mode: Mode::Bf16 }
    }
}

/// `softmax(scale q k^T + biases) v` for each head. q: `[L, H, D]`, k and v: `[S, H, D]`, any strides.
/// Returns `[L, H, D]`; a query all of whose keys are hidden gets zeros.
///
/// # Panics
/// If the shapes do not fit each other.
#[must_use]
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions) -> Tensor {
    let made = Site::of([q, k, v]).make(card::dtype(q), q.dims(), |card| card::attention(card, q, k, v, options));
    made.unwrap_or_else(|| attention_on(Isa::best(), q, k, v, options))
}

/// Bytes that attention of a head other than the videos' takes on a card, beside its operands and its result.
#[must_use]
pub fn attention_card_bytes(queries: usize, keys: usize) -> usize {
    card::scratch_bytes(queries, keys)
}

fn attention_on(isa: Isa, q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions) -> Tensor {
    let ([queries, heads, width], [keys, key_heads, key_width]) = (q.sizes(), k.sizes());
    assert!(heads == key_heads && width == key_width && k.dims() == v.dims(), "q {} k {}", q.dims(), k.dims());
    if let Some(bias) = options.key_bias {
        assert_eq!(bias.len(), keys, "key bias");
    }
    if let Some(bias) = options.position_bias {
        assert_eq!(bias.sizes(), [heads, (queries + keys).saturating_sub(1)], "position bias");
    }
    let mut out = Tensor::scratch([queries, heads, width]);
    cpu::attention(isa, q, k, v, options, out.f32s_mut());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close};

    #[test]
    fn every_implementation_matches_the_reference() {
        let shapes =
            [(1, 1, 1, 1), (5, 3, 2, 8), (33, 130, 2, 128), (100, 1, 3, 64), (97, 300, 1, 40), (130, 129, 2, 128)];
        for (seed, (queries, keys, heads, width)) in shapes.into_iter().enumerate() {
            let mut random = Random::new(seed as u64);
            // Heads of a fused projection: strided views.
            let q = random.tensor(&[queries, heads + 1, width]).narrow(1, 1, heads);
            let kv = random.tensor(&[keys, heads, 2 * width]);
            let (k, v) = (kv.narrow(2, 0, width), kv.narrow(2, width, width));
            let mut key_bias: Vec<f32> = (0..keys).map(|_| random.normal()).collect();
            key_bias[keys / 2..].fill(f32::NEG_INFINITY);
            key_bias[0] = 6.0;
            let position_bias = random.tensor(&[heads, queries + keys - 1]);
            for (key_bias, position_bias) in [(None, None), (Some(&key_bias[..]), None), (None, Some(&position_bias))] {
                // A large scale, so that weights are far from even.
                let options = AttentionOptions { key_bias, position_bias, ..AttentionOptions::scaled(0.7) };
                let want = reference::attention(&q, &k, &v, options);
                for isa in Isa::available() {
                    let got = attention_on(isa, &q, &k, &v, options);
                    assert_close(&got, &want, 5e-6, format!("{isa}, {queries}x{keys}x{heads}x{width}"));
                }
            }
        }
    }

    #[test]
    fn a_biased_key_counts_as_many_equal_ones() {
        let mut random = Random::new(77);
        let (q, k, v) = (random.tensor(&[9, 2, 16]), random.tensor(&[4, 2, 16]), random.tensor(&[4, 2, 16]));
        let repeat = |x: &Tensor| {
            let mut values = x.to_vec();
            let last = values[3 * 32..].to_vec();
            (0..50).for_each(|_| values.extend(&last));
            Tensor::from_vec(values, [54, 2, 16])
        };
        let plain = AttentionOptions::scaled(0.25);
        let want = attention(&q, &repeat(&k), &repeat(&v), plain);
        let bias = [0.0, 0.0, 0.0, 51f32.ln()];
        let got = attention(&q, &k, &v, AttentionOptions { key_bias: Some(&bias), ..plain });
        assert_close(&got, &want, 1e-6, "ln(count)");
    }

    #[test]
    fn hidden_keys_leave_zeros() {
        let x = Random::new(1).tensor(&[3, 1, 8]);
        let bias = [f32::NEG_INFINITY; 3];
        let got = attention(&x, &x, &x, AttentionOptions { key_bias: Some(&bias), ..AttentionOptions::scaled(1.0) });
        assert_eq!(got.to_vec(), vec![0.0; 24]);
    }
}
