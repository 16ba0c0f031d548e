//! The norms on a processor: rows shared out, each read twice or thrice while it is in the cache.

use pulp::{Simd, WithSimd};

use super::Rms;
use crate::Activation;
use crate::rows::{Rows, for_each_run};
use crate::simd::{Isa, map_in_place, zip_in_place};

/// `y * factor + term`, each of one or more rows that serve equal shares of the rows of x.
#[derive(Clone, Copy)]
pub struct RowAffine<'a> {
    pub factor: Option<&'a Rows>,
    pub term: Option<&'a Rows>,
    /// The factor is one more than what is given.
    pub plus_one: bool,
}

pub fn layer_norm(isa: Isa, x: &Rows, affine: RowAffine, epsilon: f32, y: &mut [f32]) {
    for_each_run(y, x.width, |first, y| isa.run(LayerNorm { x, first, affine, epsilon, y }));
}

pub fn rms(isa: Isa, x: &Rows, weight: &[f32], kind: Rms, then: Activation, y: &mut [f32]) {
    for_each_run(y, x.width, |first, y| isa.run(RmsNorm { x, first, weight, kind, then, y }));
}

struct LayerNorm<'a> {
    x: &'a Rows,
    first: usize,
    affine: RowAffine<'a>,
    epsilon: f32,
    y: &'a mut [f32],
}

impl WithSimd for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.x.width;
        for (i, y) in self.y.chunks_exact_mut(width).enumerate() {
            let row = self.first + i;
            let x = self.x.row(row);
            let mean_value = sum(simd, x, |value| value) / width as f32;
            let mean = simd.splat_f32s(mean_value);
            let squares = sum(simd, x, |value| {
                let centred = simd.sub_f32s(value, mean);
                simd.mul_f32s(centred, centred)
            });
            // The zeros that fill a partial vector are not values of the row: each added mean^2.
            let padding = (width.next_multiple_of(S::F32_LANES) - width) as f32;
            let variance = (squares - padding * mean_value * mean_value) / width as f32;
            let factor = simd.splat_f32s(1.0 / (variance.max(0.0) + self.epsilon).sqrt());

            y.copy_from_slice(x);
            map_in_place(simd, y, |value| simd.mul_f32s(simd.sub_f32s(value, mean), factor));
            let group = |rows: &Rows| row / (self.x.count / rows.count);
            if let Some(factors) = self.affine.factor {
                let factors_row = factors.row(group(factors));
                match self.affine.plus_one {
                    true => zip_in_place(simd, y, factors_row, |y, factor| simd.mul_add_e_f32s(y, factor, y)),
                    false => zip_in_place(simd, y, factors_row, |y, factor| simd.mul_f32s(y, factor)),
                }
            }
            if let Some(terms) = self.affine.term {
                zip_in_place(simd, y, terms.row(group(terms)), |y, term| simd.add_f32s(y, term));
            }
        }
    }
}

struct RmsNorm<'a> {
    x: &'a Rows,
    first: usize,
    weight: &'a [f32],
    kind: Rms,
    then: Activation,
    y: &'a mut [f32],
}

impl WithSimd for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (i, y) in self.y.chunks_exact_mut(self.x.width).enumerate() {
            let x = self.x.row(self.first + i);
            let square_sum = sum(simd, x, |value| simd.mul_f32s(value, value));
            let factor = simd.splat_f32s(self.kind.factor(square_sum, self.x.width));
            y.copy_from_slice(x);
            zip_in_place(simd, y, self.weight, |x, weight| simd.mul_f32s(simd.mul_f32s(x, factor), weight));
            self.then.apply(simd, y);
        }
    }
}

/// Sum of `f(value)` over a row, in four accumulators; a partial last vector is filled with zeros.
#[inline(always)]
fn sum<S: Simd>(simd: S, row: &[f32], f: impl Fn(S::f32s) -> S::f32s) -> f32 {
    let (body, tail) = S::as_simd_f32s(row);
    let mut sums = [simd.splat_f32s(0.0); 4];
    let (quads, rest) = body.as_chunks::<4>();
    for quad in quads {
        for (sum, &value) in sums.iter_mut().zip(quad) {
            *sum = simd.add_f32s(*sum, f(value));
        }
    }
    for &value in rest {
        sums[0] = simd.add_f32s(sums[0], f(value));
    }
    if !tail.is_empty() {
        sums[1] = simd.add_f32s(sums[1], f(simd.partial_load_f32s(tail)));
    }
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3])))
}
