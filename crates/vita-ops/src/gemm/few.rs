//! The product of few rows with a weight as it is stored. Its time is that of reading the weight, so that each of its
//! rows is read once, from start to end, and nothing is turned: sums run along rows, several rows at a time.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::driver::FinishPanel;
use super::widen::{StoredRows, widen_slice};
use super::{BLOCK, Finish, Output, RowSource};
use crate::simd::{Isa, load, store};

/// Most rows that this is faster for than panels are.
pub(super) const ROWS_MAX: usize = 40;

/// Rows of the weight that are summed at a time, and of the other matrix.
const TILE: usize = 4;

/// Length of the sum done at once: so much of a tile's rows, widened, stays in the first cache.
const CHUNK: usize = 512;

/// Rows of the weight of a task; a multiple of [`TILE`].
const TASK_ROWS: usize = 128;

/// Most values of a vector.
const LANES_MAX: usize = 16;

/// `y = finish(rows * weight^T)`, or `finish(y + rows * weight^T)` where `accumulate` says so.
pub(super) fn multiply(
    isa: Isa,
    source: &impl RowSource,
    weight: StoredRows,
    finish: Finish,
    accumulate: bool,
    y: &mut [f32],
) {
    let count = source.count();
    let depth = weight.columns.next_multiple_of(BLOCK);
    let mut x = vec![0.0; count * depth];
    source.pack(0..count, 0..depth, &mut x);
    let y = Output::new(y, weight.rows);
    (0..weight.rows.div_ceil(TASK_ROWS)).into_par_iter().for_each_init(Vec::new, |sums: &mut Vec<f32>, task| {
        let first = task * TASK_ROWS;
        let columns = TASK_ROWS.min(weight.rows - first);
        let c = y.at(0, first);
        for row in (0..columns).step_by(TILE) {
            let width = TILE.min(columns - row);
            sums.clear();
            sums.resize(TILE * count * LANES_MAX, 0.0);
            add_chunks(isa, &x, count, weight, first + row..first + row + width, sums);
            isa.run(Reduce { sums, c: y.at(0, first + row), count, width, accumulate });
        }
        let bias = finish.bias.map(|bias| &bias[first..][..columns]);
        isa.run(FinishPanel { c, rows: count, columns, finish: Finish { bias, ..finish } });
    });
}

/// Adds the products of a tile of the weight's rows, a chunk after the other.
fn add_chunks(isa: Isa, x: &[f32], count: usize, weight: StoredRows, rows: std::ops::Range<usize>, sums: &mut [f32]) {
    let mut widened = [[0.0; CHUNK]; TILE];
    for start in (0..weight.columns).step_by(CHUNK) {
        let len = CHUNK.min(weight.columns - start);
        let padded = len.next_multiple_of(BLOCK);
        for (to, row) in widened.iter_mut().zip(rows.clone()) {
            widen_slice(isa, weight.dtype, weight.run(row, start, len), &mut to[..len]);
            to[len..padded].fill(0.0);
        }
        let x = &x[start * count..][..padded * count];
        isa.run(AddChunk { x, count, widened: &widened, width: rows.len(), sums });
    }
}

/// Adds one chunk's products to sums `[TILE][count][LANES_MAX]`.
struct AddChunk<'a> {
    /// `[len / BLOCK][count][BLOCK]`
    x: &'a [f32],
    count: usize,
    widened: &'a [[f32; CHUNK]; TILE],
    /// Rows of the tile that there are.
    width: usize,
    sums: &'a mut [f32],
}

impl WithSimd for AddChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        assert!(S::F32_LANES <= LANES_MAX && BLOCK.is_multiple_of(S::F32_LANES));
        assert!(self.x.len() <= CHUNK * self.count && self.sums.len() >= TILE * self.count * LANES_MAX);
        for first in (0..self.count).step_by(TILE) {
            match (self.width, self.count - first) {
                (TILE, 4..) => self.tile::<S, TILE, 4>(simd, first, 0),
                (TILE, 3) => self.tile::<S, TILE, 3>(simd, first, 0),
                (TILE, 2) => self.tile::<S, TILE, 2>(simd, first, 0),
                (TILE, _) => self.tile::<S, TILE, 1>(simd, first, 0),
                (width, left) => {
                    for row in 0..width {
                        for x in first..first + left.min(TILE) {
                            self.tile::<S, 1, 1>(simd, x, row);
                        }
                    }
                }
            }
        }
    }
}

impl AddChunk<'_> {
    /// `WIDTH` rows of the weight from `row` on, with `ROWS` of the others from `first` on.
    #[inline(always)]
    fn tile<S: Simd, const WIDTH: usize, const ROWS: usize>(&mut self, simd: S, first: usize, row: usize) {
        let Self { x, count, widened, ref mut sums, .. } = *self;
        let place = |i: usize, j: usize| ((row + i) * count + first + j) * LANES_MAX;
        assert!(row + WIDTH <= TILE && first + ROWS <= count);
        let mut totals = [[simd.splat_f32s(0.0); ROWS]; WIDTH];
        for (block, x) in x.chunks_exact(count * BLOCK).enumerate() {
            for lane in (0..BLOCK).step_by(S::F32_LANES) {
                // SAFETY: `first + ROWS <= count` rows of a block, and as many blocks as a chunk has, as the caller
                // and this function have checked; a lane starts a whole vector of the block.
                let (w, x): ([S::f32s; WIDTH], [S::f32s; ROWS]) = unsafe {
                    let w = |i: usize| load::<S>(widened[row + i].as_ptr().add(block * BLOCK + lane));
                    let x = |j: usize| load::<S>(x.as_ptr().add((first + j) * BLOCK + lane));
                    (std::array::from_fn(w), std::array::from_fn(x))
                };
                for (totals, &w) in totals.iter_mut().zip(&w) {
                    for (total, &x) in totals.iter_mut().zip(&x) {
                        *total = simd.mul_add_e_f32s(w, x, *total);
                    }
                }
            }
        }
        let finished = totals;
        for (i, totals) in finished.iter().enumerate() {
            for (j, &total) in totals.iter().enumerate() {
                let sum = &mut sums[place(i, j)..][..LANES_MAX];
                // SAFETY: a vector has at most `LANES_MAX` values, as the caller has checked.
                unsafe { store::<S>(sum.as_mut_ptr(), simd.add_f32s(total, load::<S>(sum.as_ptr()))) };
            }
        }
    }
}

/// Adds up the lanes of sums `[TILE][count][LANES_MAX]` into columns of the output.
struct Reduce<'a> {
    sums: &'a [f32],
    c: Output,
    count: usize,
    width: usize,
    accumulate: bool,
}

impl WithSimd for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for row in 0..self.count {
            // SAFETY: this task alone writes its columns of the output.
            let values = unsafe { self.c.at(row, 0).row(0, self.width) };
            for (i, value) in values.iter_mut().enumerate() {
                let lanes = &self.sums[(i * self.count + row) * LANES_MAX..][..LANES_MAX];
                // SAFETY: as many values as the longest vector has.
                let sum = simd.reduce_sum_f32s(unsafe { load::<S>(lanes.as_ptr()) });
                *value = if self.accumulate { *value + sum } else { sum };
            }
        }
    }
}
