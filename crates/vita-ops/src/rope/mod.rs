//! Rotary position embedding over frame, row and column of a token.

mod card;

use std::sync::OnceLock;

use pulp::{Simd, WithSimd};
use vita_tensor::{DType, Tensor};

use crate::card::Site;
use crate::rows::for_each_run;
use crate::simd::Isa;
use crate::{rms_norm, to_f32};

/// Cosines and sines of every token's angles.
pub struct RopeTable {
    /// `[L, D / 2]` each.
    cos: Vec<f32>,
    sin: Vec<f32>,
    pairs: usize,
    /// Both on the card that asked first.
    on_card: OnceLock<[Tensor; 2]>,
}

impl RopeTable {
    /// The table of a grid of tokens `[frames, rows, columns]`, in that order, for heads of width `head_dim`.
    ///
    /// The head's adjacent pairs are shared out as Wan does: with `d = head_dim`, rows and columns take
    /// `d / 6` pairs each (rounded down) and frames the rest; on each axis of `n` pairs, pair `j` turns by
    /// `position * theta^(-j / n)`. Angles are `f64`, the table is `f32`.
    ///
    /// # Panics
    /// If `head_dim` is odd.
    pub fn new(grid: [usize; 3], head_dim: usize, theta: f64) -> Self {
        Self::with_frequencies(grid, &rope_frequencies(head_dim, theta))
    }

    /// The table of a grid of tokens for pairs that turn by `position * frequency`, listed for each axis.
    pub fn with_frequencies(grid: [usize; 3], axes: &[Vec<f64>; 3]) -> Self {
        let pairs = axes.iter().map(Vec::len).sum();
        let [frames, rows, columns] = grid;
        let mut angles = Vec::with_capacity(frames * rows * columns * pairs);
        for frame in 0..frames {
            for row in 0..rows {
                for column in 0..columns {
                    for (position, frequencies) in [frame, row, column].into_iter().zip(axes) {
                        angles.extend(frequencies.iter().map(|frequency| position as f64 * frequency));
                    }
                }
            }
        }
        Self {
            cos: angles.iter().map(|angle| angle.cos() as f32).collect(),
            sin: angles.iter().map(|angle| angle.sin() as f32).collect(),
            pairs,
            on_card: OnceLock::new(),
        }
    }

    /// Number of tokens.
    pub fn token_count(&self) -> usize {
        self.cos.len() / self.pairs
    }
}

/// How fast each pair of a head turns, for frames, rows and columns; see [`RopeTable::new`].
///
/// # Panics
/// If `head_dim` is odd.
pub fn rope_frequencies(head_dim: usize, theta: f64) -> [Vec<f64>; 3] {
    assert!(head_dim.is_multiple_of(2), "heads of {head_dim}");
    let spatial = head_dim / 6;
    [head_dim / 2 - 2 * spatial, spatial, spatial]
        .map(|count| (0..count).map(|j| theta.powf(-(j as f64) / count as f64)).collect())
}

/// Turns each adjacent pair `(a, b)` of each head to `(a cos - b sin, a sin + b cos)`. x: `[L, H, D]`.
///
/// # Panics
/// If the table is not for `L` tokens and heads of `D`.
#[must_use]
pub fn rope(x: Tensor, table: &RopeTable) -> Tensor {
    let (site, dims) = (Site::of([&x]), x.dims());
    if let Site::Host = site {
        return rope_on(Isa::best(), x, table);
    }
    let [tokens, _, width] = x.sizes();
    assert_eq!((table.token_count(), 2 * table.pairs), (tokens, width), "rope table of x {}", x.dims());
    site.make(DType::BF16, dims, |card| card::rope(card, x, table)).expect("not on the host")
}

/// [`rms_norm`] of whole rows, then [`rope`] of each head, of tokens of the table from `first` on; on a card in one go.
/// x: `[l, C]`, of whole heads; weight: `[C]`.
///
/// # Panics
/// If the weight is not `[C]`, or the table has no such tokens or heads.
#[must_use]
pub fn rms_rope(x: &Tensor, weight: &Tensor, epsilon: f32, table: &RopeTable, first: usize) -> Tensor {
    let [tokens, width] = x.sizes();
    let head = 2 * table.pairs;
    assert!(first + tokens <= table.token_count(), "tokens {first} to {} of a rope table", first + tokens);
    assert!(width.is_multiple_of(head), "heads of {head} in x {}", x.dims());
    let made = Site::of([x, weight])
        .make(DType::BF16, x.dims(), |card| card::rms_rope(card, x, weight, epsilon, (table, first)));
    made.unwrap_or_else(|| {
        let y = rms_norm(x, weight, epsilon).reshape([tokens, width / head, head]);
        turned(Isa::best(), y, table, first).reshape([tokens, width])
    })
}

fn rope_on(isa: Isa, x: Tensor, table: &RopeTable) -> Tensor {
    let [tokens, _, width] = x.sizes();
    assert_eq!((table.token_count(), 2 * table.pairs), (tokens, width), "rope table of x {}", x.dims());
    turned(isa, x, table, 0)
}

fn turned(isa: Isa, x: Tensor, table: &RopeTable, first_token: usize) -> Tensor {
    let [_, heads, width] = x.sizes();
    let mut x = if x.is_contiguous() { x } else { to_f32(&x) };
    for_each_run(x.f32s_mut(), heads * width, |first, values| {
        isa.run(Turn { values, heads, first: first_token + first, table });
    });
    x
}

struct Turn<'a> {
    values: &'a mut [f32],
    heads: usize,
    first: usize,
    table: &'a RopeTable,
}

impl WithSimd for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let pairs = self.table.pairs;
        for (i, token) in self.values.chunks_exact_mut(self.heads * 2 * pairs).enumerate() {
            let cos = &self.table.cos[(self.first + i) * pairs..][..pairs];
            let sin = &self.table.sin[(self.first + i) * pairs..][..pairs];
            for head in token.chunks_exact_mut(2 * pairs) {
                // Left to the compiler, which vectorises it for the instruction set entered.
                for ((pair, &cos), &sin) in head.as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin) {
                    let [a, b] = *pair;
                    *pair = [a * cos - b * sin, a * sin + b * cos];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close};

    /// As the paper has it: each pair is a complex number, multiplied by `e^(i angle)`, in `f64`.
    fn reference(x: &Tensor, [frames, rows, columns]: [usize; 3], theta: f64) -> Tensor {
        let [_, heads, width] = x.sizes();
        let counts = [width / 2 - 2 * (width / 6), width / 6, width / 6];
        let mut y = Vec::new();
        for token in 0..frames * rows * columns {
            let position = [token / (rows * columns), token / columns % rows, token % columns];
            for head in 0..heads {
                let mut pair = 0;
                for axis in 0..3 {
                    for j in 0..counts[axis] {
                        let omega = theta.powf(-2.0 * j as f64 / (2 * counts[axis]) as f64);
                        let (sin, cos) = (position[axis] as f64 * omega).sin_cos();
                        let (a, b) = (x.at(&[token, head, 2 * pair]), x.at(&[token, head, 2 * pair + 1]));
                        y.extend([(a * cos - b * sin) as f32, (a * sin + b * cos) as f32]);
                        pair += 1;
                    }
                }
            }
        }
        Tensor::from_vec(y, x.dims())
    }

    #[test]
    fn every_implementation_matches_the_reference() {
        for (grid, heads, width) in [([1, 1, 1], 1, 128), ([3, 2, 5], 2, 128), ([2, 7, 1], 3, 10), ([21, 4, 4], 1, 64)]
        {
            let tokens = grid.iter().product();
            let wide = Random::new(tokens as u64).tensor(&[tokens, heads + 1, width]);
            let x = wide.narrow(1, 1, heads);
            let (want, table) = (reference(&x, grid, 10_000.0), RopeTable::new(grid, width, 10_000.0));
            for isa in Isa::available() {
                assert_close(&rope_on(isa, x.clone(), &table), &want, 1e-6, format!("{isa}, {grid:?}"));
            }
        }
    }

    #[test]
    fn parts_are_normed_and_turned_as_the_whole_is() {
        let mut random = Random::new(3);
        let (x, weight) = (random.tensor(&[30, 24]), random.tensor(&[24]));
        let table = RopeTable::new([3, 2, 5], 12, 10_000.0);
        let whole = rope(rms_norm(&x, &weight, 1e-6).reshape([30, 2, 12]), &table).to_vec();
        for tokens in [0..30, 0..7, 7..30, 29..30, 30..30] {
            let part = x.narrow(0, tokens.start, tokens.len());
            let got = rms_rope(&part, &weight, 1e-6, &table, tokens.start).to_vec();
            assert_eq!(got, whole[tokens.start * 24..tokens.end * 24]);
        }
    }

    #[test]
    fn a_head_of_128_has_22_21_21_pairs() {
        // The pair after the frames' ones turns with the row alone.
        let table = RopeTable::new([2, 2, 1], 128, 10_000.0);
        let row = &table.cos[64..128];
        assert!(row[..22].iter().all(|&cos| cos == 1.0) && row[22] == 1f64.cos() as f32);
    }
}
