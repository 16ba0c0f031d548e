//! Sums and products of whole tensors, and the conversion of any tensor to `f32`.
//!
//! Each is one line of arithmetic, so its reference is written out in its test.

mod card;

use std::sync::Arc;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use vita_cuda::Card;
use vita_tensor::{DType, Tensor};

use crate::card::{Site, empty};
use crate::gemm::widen_slice;
use crate::rows::{Rows, for_each_run};
use crate::simd::{Isa, map_in_place, zip_in_place};

/// `x + y`, of equal shapes.
#[must_use]
pub fn add(x: Tensor, y: &Tensor) -> Tensor {
    let (site, dtype, dims) = (Site::of([&x, y]), x.dtype(), x.dims());
    if let Site::Host = site {
        return zip(Isa::best(), x, y, Zip::Add);
    }
    site.make(dtype, dims, |card| card::gated_add(card, x, y, None)).expect("not on the host")
}

/// `x * y`, of equal shapes.
#[must_use]
pub fn mul(x: Tensor, y: &Tensor) -> Tensor {
    let (site, dtype, dims) = (Site::of([&x, y]), x.dtype(), x.dims());
    if let Site::Host = site {
        return zip(Isa::best(), x, y, Zip::Multiply);
    }
    site.make(dtype, dims, |card| card::mul(card, x, y)).expect("not on the host")
}

/// `x + y * gate`, where row `t` of the gate serves the `t`-th equal share of the rows.
///
/// x, y: `[L, C]`, gate: `[T, C]`; `T` divides `L`.
#[must_use]
pub fn gated_add(x: Tensor, y: &Tensor, gate: &Tensor) -> Tensor {
    let (site, dtype, dims) = (Site::of([&x, y, gate]), x.dtype(), x.dims());
    if let Site::Host = site {
        return gated_add_on(Isa::best(), x, y, gate);
    }
    site.make(dtype, dims, |card| card::gated_add(card, x, y, Some(gate))).expect("not on the host")
}

/// `x + row` for each row of x. x: `[L, C]`, row: `[C]`.
///
/// # Panics
/// If the row is of another width.
#[must_use]
pub fn add_row(mut x: Tensor, row: &Tensor) -> Tensor {
    let [_, width] = x.sizes();
    assert_eq!(row.sizes(), [width], "a row for {}", x.dims());
    let (site, dtype, dims) = (Site::of([&x, row]), x.dtype(), x.dims());
    if let Site::Host = site {
        let row = to_f32(row);
        for values in x.f32s_mut().chunks_exact_mut(width.max(1)) {
            values.iter_mut().zip(row.f32s()).for_each(|(value, term)| *value += term);
        }
        return x;
    }
    site.make(dtype, dims, |card| card::add_row(card, x, row)).expect("not on the host")
}

/// `x * factor`.
#[must_use]
pub fn scale(mut x: Tensor, factor: f32) -> Tensor {
    let made = Site::of([&x]).make(x.dtype(), x.dims(), |card| card::scale(card, &x, factor));
    made.unwrap_or_else(|| {
        for_each_run(x.f32s_mut(), 1, |_, values| Isa::best().run(Scale { values, by: factor }));
        x
    })
}

/// `sum of factor * tensor`, of equal shapes, added up in the order given.
///
/// # Panics
/// With no terms, or unequal shapes.
#[must_use]
pub fn combine(terms: &[(f32, &Tensor)]) -> Tensor {
    let [(first_factor, first), rest @ ..] = terms else { panic!("a sum of no tensors") };
    if let site @ (Site::Card(_) | Site::Failed(_)) = Site::of(terms.iter().map(|(_, term)| *term)) {
        let sum = site.make(DType::F32, first.dims(), |card| card::sum(card, terms));
        return sum.expect("not on the host");
    }
    let isa = Isa::best();
    let mut sum = first.to_contiguous_f32();
    for_each_run(sum.f32s_mut(), 1, |_, values| isa.run(Scale { values, by: *first_factor }));
    for (factor, term) in rest {
        sum = zip(isa, sum, term, Zip::AddScaled(*factor));
    }
    sum
}

/// `x * scale[c] + shift[c]` along axis 0: x is `[C, ..]`.
///
/// # Panics
/// If there are not `C` scales and shifts.
#[must_use]
pub fn scale_bias_channels(x: &Tensor, scale: &[f32], shift: &[f32]) -> Tensor {
    let channels = x.dims()[0];
    assert!(scale.len() == channels && shift.len() == channels, "{channels} channels");
    let mut y = to_f32(x);
    if y.element_count() == 0 {
        return y;
    }
    let plane = y.element_count() / channels;
    let values = y.f32s_mut();
    values.par_chunks_mut(plane).zip(scale.par_iter().zip(shift)).for_each(|(plane, (&scale, &shift))| {
        plane.iter_mut().for_each(|value| *value = *value * scale + shift);
    });
    y
}

/// `[count, C]` of unspecified content, where `like`, `[.., C]`, lies and of its type: for [`put_rows`].
#[must_use]
pub fn room_for_rows(like: &Tensor, count: usize) -> Tensor {
    let dims = [count, *like.dims().last().expect("rows have an axis")];
    let made = Site::of([like]).make(like.dtype(), dims, |card| empty(card, like.dtype(), dims));
    made.unwrap_or_else(|| Tensor::scratch(dims))
}

/// Writes rows over those of `whole` from `start` on. whole: `[L, C]`, rows: `[l, C]`.
///
/// # Panics
/// If they do not fit there.
pub fn put_rows(whole: &mut Tensor, start: usize, rows: &Tensor) {
    let ([_, width], [count, row_width]) = (whole.sizes(), rows.sizes());
    assert_eq!(row_width, width, "rows for {}", whole.dims());
    if let site @ (Site::Card(_) | Site::Failed(_)) = Site::of([&*whole, rows]) {
        let (dtype, dims) = (whole.dtype(), whole.dims());
        let put = |card: &Arc<Card>| card::put_rows(card, whole, start, rows);
        *whole = site.make(dtype, dims, put).expect("not on the host");
        return;
    }
    whole.f32s_mut()[start * width..][..count * width].copy_from_slice(to_f32(rows).f32s());
}

/// A contiguous `f32` tensor of the same values: `x` itself where it already is one.
#[must_use]
pub fn to_f32(x: &Tensor) -> Tensor {
    if !x.is_on_host() {
        let as_is = x.failure().is_some() || (x.is_contiguous() && x.dtype() == DType::F32);
        return if as_is { x.clone() } else { card::to_f32(x) };
    }
    let isa = Isa::best();
    match (x.is_contiguous(), x.dtype()) {
        (true, DType::F32) if x.try_f32s().is_some() => x.clone(),
        (true, dtype) if dtype.is_float() => {
            let mut y = Tensor::scratch(x.dims());
            let bytes = x.bytes();
            let unit = dtype.block().map_or(1, |block| block.len);
            let bytes_of = |elements| dtype.bytes_of(elements).expect("whole blocks");
            for_each_run(y.f32s_mut(), unit, |start, values| {
                widen_slice(isa, dtype, &bytes[bytes_of(start)..][..bytes_of(values.len())], values);
            });
            y
        }
        _ if x.try_f32s().is_some() && x.element_count() > 0 => gather(x),
        _ => x.to_contiguous_f32(),
    }
}

/// A tensor of the same values without gaps, in f32 or, on a card, in the type it has: `x` itself where it already is
/// one.
#[must_use]
pub fn gapless(x: &Tensor) -> Tensor {
    let site = Site::of([x]);
    site.make(x.dtype(), x.dims(), |card| crate::copies::brought(card, x)).unwrap_or_else(|| to_f32(x))
}

/// Copies a strided `f32` view, in parallel over its outermost axis.
fn gather(x: &Tensor) -> Tensor {
    let mut y = Tensor::scratch(x.dims());
    let per_entry = x.element_count() / x.dims()[0];
    y.f32s_mut().par_chunks_mut(per_entry).enumerate().for_each(|(i, out)| {
        let (entry, source) = (x.select(0, i), x.narrow(0, i, 1));
        let (dims, strides, values) = (entry.dims(), entry.strides(), source.f32s());
        match (&*dims, &*strides) {
            // The common case, a turned matrix: walked in square pieces.
            (&[rows, columns], &[row_stride, column_stride]) => {
                const PIECE: usize = 16;
                for r0 in (0..rows).step_by(PIECE) {
                    for c0 in (0..columns).step_by(PIECE) {
                        for r in r0..(r0 + PIECE).min(rows) {
                            for c in c0..(c0 + PIECE).min(columns) {
                                out[r * columns + c] = values[r * row_stride + c * column_stride];
                            }
                        }
                    }
                }
            }
            _ => out.copy_from_slice(&entry.to_vec()),
        }
    });
    y
}

#[derive(Clone, Copy)]
enum Zip {
    Add,
    Multiply,
    AddScaled(f32),
}

fn zip(isa: Isa, x: Tensor, y: &Tensor, function: Zip) -> Tensor {
    assert_eq!(x.dims(), y.dims(), "operands");
    let mut x = if x.is_contiguous() { x } else { to_f32(&x) };
    let y = to_f32(y);
    let other = y.f32s();
    for_each_run(x.f32s_mut(), 1, |start, values| {
        let other = &other[start..start + values.len()];
        isa.run(ZipKernel { values, other, function });
    });
    x
}

struct ZipKernel<'a> {
    values: &'a mut [f32],
    other: &'a [f32],
    function: Zip,
}

impl WithSimd for ZipKernel<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { values, other, function } = self;
        match function {
            Zip::Add => zip_in_place(simd, values, other, |x, y| simd.add_f32s(x, y)),
            Zip::Multiply => zip_in_place(simd, values, other, |x, y| simd.mul_f32s(x, y)),
            Zip::AddScaled(factor) => {
                let factor = simd.splat_f32s(factor);
                zip_in_place(simd, values, other, |x, y| simd.mul_add_e_f32s(y, factor, x));
            }
        }
    }
}

struct Scale<'a> {
    values: &'a mut [f32],
    by: f32,
}

impl WithSimd for Scale<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let by = simd.splat_f32s(self.by);
        map_in_place(simd, self.values, |value| simd.mul_f32s(value, by));
    }
}

fn gated_add_on(isa: Isa, x: Tensor, y: &Tensor, gate: &Tensor) -> Tensor {
    assert_eq!(x.dims(), y.dims(), "operands");
    let ([rows, width], [groups, gate_width]) = (x.sizes(), gate.sizes());
    assert!(gate_width == width && rows.is_multiple_of(groups.max(1)), "gate {} of x {}", gate.dims(), x.dims());
    let mut x = if x.is_contiguous() { x } else { to_f32(&x) };
    let (y, gate) = (Rows::of(y), Rows::of(gate));
    let rows_per_group = rows / groups.max(1);
    for_each_run(x.f32s_mut(), width, |first, values| {
        isa.run(GatedAdd { values, first, y: &y, gate: &gate, rows_per_group });
    });
    x
}

struct GatedAdd<'a> {
    values: &'a mut [f32],
    first: usize,
    y: &'a Rows,
    gate: &'a Rows,
    rows_per_group: usize,
}

impl WithSimd for GatedAdd<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (i, x) in self.values.chunks_exact_mut(self.y.width).enumerate() {
            let row = self.first + i;
            let (y, gate) = (self.y.row(row), self.gate.row(row / self.rows_per_group));
            let (x_body, x_tail) = S::as_mut_simd_f32s(x);
            let ((y_body, y_tail), (gate_body, gate_tail)) = (S::as_simd_f32s(y), S::as_simd_f32s(gate));
            for ((x, &y), &gate) in x_body.iter_mut().zip(y_body).zip(gate_body) {
                *x = simd.mul_add_e_f32s(y, gate, *x);
            }
            for ((x, &y), &gate) in x_tail.iter_mut().zip(y_tail).zip(gate_tail) {
                *x += y * gate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, assert_close};

    #[test]
    fn sums_and_products() {
        let mut random = Random::new(3);
        for dims in [&[1][..], &[7, 19], &[40_000]] {
            let (x, y, z) = (random.tensor(dims), random.tensor(dims), random.tensor(dims));
            let triples = |f: fn(f32, f32, f32) -> f32| {
                let (x, y, z) = (x.to_vec(), y.to_vec(), z.to_vec());
                Tensor::from_vec((0..x.len()).map(|i| f(x[i], y[i], z[i])).collect(), dims)
            };
            for isa in Isa::available() {
                assert_close(&zip(isa, x.clone(), &y, Zip::Add), &triples(|x, y, _| x + y), 1e-7, isa);
                assert_close(&zip(isa, x.clone(), &y, Zip::Multiply), &triples(|x, y, _| x * y), 1e-7, isa);
            }
            let want = triples(|x, y, z| 2.0 * x - 0.5 * y + 3.0 * z);
            assert_close(&combine(&[(2.0, &x), (-0.5, &y), (3.0, &z)]), &want, 1e-6, "combine");
        }
    }

    #[test]
    fn every_gated_add_matches_its_definition() {
        let mut random = Random::new(4);
        for (rows, width, groups) in [(1, 1, 1), (6, 35, 3), (300, 130, 5), (7, 16, 7)] {
            let (x, gate) = (random.tensor(&[rows, width]), random.tensor(&[groups, width]));
            let y = random.tensor(&[rows, width + 2]).narrow(1, 1, width);
            let want = (0..rows * width).map(|i| {
                let (row, column) = (i / width, i % width);
                x.at(&[row, column]) + y.at(&[row, column]) * gate.at(&[row / (rows / groups), column])
            });
            let want = Tensor::from_vec(want.map(|value| value as f32).collect(), [rows, width]);
            for isa in Isa::available() {
                assert_close(&gated_add_on(isa, x.clone(), &y, &gate), &want, 1e-6, format!("{isa}, {rows}x{width}"));
            }
        }
    }

    #[test]
    fn conversion_of_every_dtype_and_stride() {
        let mut random = Random::new(5);
        for dtype in [DType::F32, DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2] {
            let x = random.weight(&[3, 7, 20], dtype);
            for view in [x.clone(), x.permute(&[0, 2, 1]), x.permute(&[2, 0, 1]), x.narrow(2, 3, 9)] {
                assert_eq!(to_f32(&view).f32s(), view.to_vec(), "{dtype} {:?}", view.strides());
                let owned = view.to_contiguous_f32().permute(&[1, 2, 0]);
                assert_eq!(to_f32(&owned).f32s(), owned.to_vec());
            }
        }
    }

    #[test]
    fn channels_are_scaled_and_shifted() {
        let x = Random::new(6).tensor(&[2, 3, 2]);
        let y = scale_bias_channels(&x, &[2.0, -1.0], &[0.5, 1.0]);
        for i in 0..3 {
            assert_eq!(y.at(&[0, i, 1]), f64::from(x.at(&[0, i, 1]) as f32 * 2.0 + 0.5));
            assert_eq!(y.at(&[1, i, 0]), f64::from(1.0 - x.at(&[1, i, 0]) as f32));
        }
    }
}
