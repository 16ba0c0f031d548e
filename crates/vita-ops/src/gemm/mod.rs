//! The matrix product under linear layers, attention and convolutions: one register-tiled kernel
//! over a panel of [`PANEL`] columns, and the layouts that feed it.
//!
//! `C[i, j] = sum over k of A[i, k] * B[k, j]`.
//!
//! - `B` is a panel: row `k` is [`PANEL`] consecutive floats.
//! - `A` is read as `a[(k / INNER) * stride + i * INNER + k % INNER]`. With `INNER` = [`BLOCK`] that is
//!   rows cut into blocks of 16 values (one cache line each, so packing is a plain copy); with
//!   `INNER` = 1 it is a matrix stored column by column.

mod driver;
mod few;
mod widen;

use pulp::{Simd, WithSimd};

use crate::simd::{load, store};

pub(crate) use driver::{Finish, RowSource, multiply, multiply_add};
pub(crate) use widen::{Packed, widen_slice};

/// Columns of a panel: two AVX-512 registers, four AVX2 ones.
pub(crate) const PANEL: usize = 32;

/// Values of a row that lie together in the blocked layout of `A`.
pub(crate) const BLOCK: usize = 16;

/// One product `A * panel`, for [`crate::simd::Isa::run`].
pub(crate) struct PanelProduct<'a, const INNER: usize> {
    /// `A`, see the module's text.
    pub a: &'a [f32],
    pub a_stride: usize,
    /// Rows of `A` and of `C`.
    pub rows: usize,
    /// Length of the sum; a multiple of `INNER`.
    pub depth: usize,
    /// The panel, `[depth, PANEL]`.
    pub b: &'a [f32],
    /// Where row 0, column 0 of `C` is.
    pub c: Output,
    /// Columns of `C` that are written, at most [`PANEL`].
    pub columns: usize,
    /// Whether the product is added to what `C` holds.
    pub accumulate: bool,
}

/// A strided matrix that several tasks write disjoint parts of.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    pointer: *mut f32,
    /// Floats from here to the end of the buffer.
    len: usize,
    pub row_stride: usize,
}

// SAFETY: tasks write through copies of it only to rows and columns that are theirs alone.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    /// The whole of a buffer, as rows of `row_stride` values.
    pub fn new(values: &mut [f32], row_stride: usize) -> Self {
        Self { pointer: values.as_mut_ptr(), len: values.len(), row_stride }
    }

    /// The same matrix from another first element on.
    pub fn at(self, row: usize, column: usize) -> Self {
        let offset = row * self.row_stride + column;
        assert!(offset <= self.len, "output of {} values starts at {offset}", self.len);
        // SAFETY: inside the buffer or one past its end.
        Self { pointer: unsafe { self.pointer.add(offset) }, len: self.len - offset, ..self }
    }

    /// One row's first `width` values.
    ///
    /// # Safety
    /// No other task may touch these values while the slice lives, and the buffer must outlive it.
    pub unsafe fn row<'a>(self, row: usize, width: usize) -> &'a mut [f32] {
        let here = self.at(row, 0);
        assert!(width <= here.len, "row of {width} in {} values", here.len);
        // SAFETY: inside the buffer; exclusive by this function's contract.
        unsafe { std::slice::from_raw_parts_mut(here.pointer, width) }
    }
}

impl<const INNER: usize> WithSimd for PanelProduct<'_, INNER> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        assert!(self.depth.is_multiple_of(INNER) && self.columns <= PANEL);
        assert!(self.b.len() >= self.depth * PANEL);
        assert!(self.depth == 0 || self.a.len() >= (self.depth / INNER - 1) * self.a_stride + self.rows * INNER);
        assert!(self.c.len >= (self.rows - 1) * self.c.row_stride + self.columns);
        // Rows a tile: as many as the registers hold beside two vectors of B.
        match S::F32_LANES {
            16 | 4 => self.tiles::<S, 12>(simd),
            8 => self.tiles::<S, 6>(simd),
            _ => self.tiles::<S, 4>(simd),
        }
    }
}

impl<const INNER: usize> PanelProduct<'_, INNER> {
    #[inline(always)]
    fn tiles<S: Simd, const ROWS: usize>(&self, simd: S) {
        let mut column = 0;
        while column < self.columns {
            // A last vector alone is not worth a second one of nothing.
            let columns = match self.columns - column {
                rest if rest <= S::F32_LANES => self.tile_rows::<S, ROWS, 1>(simd, column, rest),
                rest => self.tile_rows::<S, ROWS, 2>(simd, column, rest.min(2 * S::F32_LANES)),
            };
            column += columns;
        }
    }

    /// All rows of some columns. Returns how many columns.
    #[inline(always)]
    fn tile_rows<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        column: usize,
        columns: usize,
    ) -> usize {
        let mut row = 0;
        while row + ROWS <= self.rows {
            // SAFETY: `with_simd` checked that all of A, B and C that the tile touches is there.
            unsafe { self.tile::<S, ROWS, VECTORS>(simd, row, column, columns) };
            row += ROWS;
        }
        macro_rules! rest {
                ($($rest:literal)*) => {
                    match self.rows - row {
                        // SAFETY: as above.
                        $($rest if $rest < ROWS => unsafe { self.tile::<S, $rest, VECTORS>(simd, row, column, columns) },)*
                        _ => {}
                    }
                };
            }
        rest!(1 2 3 4 5 6 7 8 9 10 11);
        columns
    }

    /// `ROWS` rows by `VECTORS` vectors of columns, summed in registers.
    ///
    /// # Safety
    /// Rows, columns and depth must be inside A, B and C.
    #[inline(always)]
    unsafe fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        row: usize,
        column: usize,
        columns: usize,
    ) {
        let lanes = S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        // SAFETY: all offsets below are inside the slices, by this function's contract.
        unsafe {
            let mut a = self.a.as_ptr().add(row * INNER);
            let mut b = self.b.as_ptr().add(column);
            for _ in 0..self.depth / INNER {
                for inner in 0..INNER {
                    let b_row: [S::f32s; VECTORS] = std::array::from_fn(|vector| load::<S>(b.add(vector * lanes)));
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let value = simd.splat_f32s(*a.add(i * INNER + inner));
                        for (sum, &b) in sum.iter_mut().zip(&b_row) {
                            *sum = simd.mul_add_e_f32s(value, b, *sum);
                        }
                    }
                    b = b.add(PANEL);
                }
                // Past the last block this may leave the slice, so it must not be `add`.
                a = a.wrapping_add(self.a_stride);
            }
            // A copy, so that the loop below, which the compiler may keep as a loop over memory, does not
            // force the sums themselves out of registers.
            let finished = sums;
            for (i, sum) in finished.iter().enumerate() {
                let c = self.c.pointer.add((row + i) * self.c.row_stride + column);
                if columns == VECTORS * lanes {
                    for (vector, &sum) in sum.iter().enumerate() {
                        let c = c.add(vector * lanes);
                        let sum = if self.accumulate { simd.add_f32s(sum, load::<S>(c)) } else { sum };
                        store::<S>(c, sum);
                    }
                } else {
                    let mut values = [0.0; PANEL];
                    for (vector, &sum) in sum.iter().enumerate() {
                        store::<S>(values.as_mut_ptr().add(vector * lanes), sum);
                    }
                    for (j, value) in values[..columns].iter().enumerate() {
                        *c.add(j) = if self.accumulate { *c.add(j) + value } else { *value };
                    }
                }
            }
        }
    }
}

/// Copies rows into the blocked layout `[depth / BLOCK][rows][BLOCK]`, the last block filled with zeros.
///
/// `source` yields each row's values; all rows have the same length.
pub(crate) fn pack_rows<'a>(rows: impl ExactSizeIterator<Item = &'a [f32]>, depth: usize, out: &mut [f32]) {
    let count = rows.len();
    for (i, row) in rows.enumerate() {
        debug_assert_eq!(row.len(), depth);
        for (block, values) in row.chunks(BLOCK).enumerate() {
            let to = &mut out[(block * count + i) * BLOCK..][..BLOCK];
            to[..values.len()].copy_from_slice(values);
            to[values.len()..].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;
    use crate::testing::Random;

    fn check<const INNER: usize>(rows: usize, depth: usize, columns: usize, accumulate: bool) {
        let mut random = Random::new((rows * 1000 + depth * 100 + columns) as u64);
        let a_stride = (rows + 3) * INNER;
        let a: Vec<f32> = (0..depth / INNER * a_stride).map(|_| random.normal()).collect();
        let b: Vec<f32> = (0..depth * PANEL).map(|_| random.normal()).collect();
        let c: Vec<f32> = (0..rows * 40).map(|_| random.normal()).collect();
        for isa in Isa::available() {
            let mut got = c.clone();
            isa.run(PanelProduct::<INNER> {
                a: &a,
                a_stride,
                rows,
                depth,
                b: &b,
                c: Output::new(&mut got, 40),
                columns,
                accumulate,
            });
            for i in 0..rows {
                for j in 0..40 {
                    let at = i * 40 + j;
                    if j >= columns {
                        assert_eq!(got[at], c[at], "{isa}: column {j} of {columns} was touched");
                        continue;
                    }
                    let mut want = if accumulate { f64::from(c[at]) } else { 0.0 };
                    for k in 0..depth {
                        let a = a[(k / INNER) * a_stride + i * INNER + k % INNER];
                        want += f64::from(a) * f64::from(b[k * PANEL + j]);
                    }
                    assert!(
                        (f64::from(got[at]) - want).abs() < 1e-5 * (depth as f64).sqrt().max(1.0),
                        "{isa}: {rows}x{depth}x{columns} at {i},{j}: {} is not {want}",
                        got[at]
                    );
                }
            }
        }
    }

    #[test]
    fn panel_products_of_every_remainder() {
        for rows in 0..27 {
            check::<1>(rows, 7, 32, rows % 2 == 0);
            check::<BLOCK>(rows, 48, 32, rows % 2 == 1);
        }
        for columns in 1..=32 {
            check::<1>(13, 5, columns, columns % 2 == 0);
        }
    }
}
