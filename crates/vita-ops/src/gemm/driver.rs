//! A whole product with a packed weight: tasks over blocks of rows and chunks of columns; inside a task,
//! blocks of the sum's length, so that a panel of the weight is widened once for all of the task's rows.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{BLOCK, Output, PANEL, Packed, PanelProduct, few};
use crate::Activation;
use crate::simd::{Isa, map_in_place, zip_in_place};

/// Length of the sum done at once: a panel of it (24 KiB) stays in the first cache.
const DEPTH_BLOCK: usize = 192;

/// Most rows of a task: with [`DEPTH_BLOCK`] they take 360 KiB of the second cache.
const ROWS_MAX: usize = 480;

/// Rows of a register tile, for even blocks.
const ROWS_STEP: usize = 12;

/// The rows that are multiplied with a weight, wherever they come from.
pub(crate) trait RowSource: Sync {
    /// Number of rows.
    fn count(&self) -> usize;

    /// Writes values `depth` of rows `rows` in the blocked layout `[depth / BLOCK][rows][BLOCK]`, zeros where
    /// a row has ended. Both ends of `depth` are multiples of [`BLOCK`].
    fn pack(&self, rows: Range<usize>, depth: Range<usize>, out: &mut [f32]);
}

/// What happens to a sum before it is the result: `activation(sum * scale + bias)`.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    pub scale: f32,
    /// One value a column.
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
}

/// `y = finish(rows * weight^T)` over the given part of the sum's length.
pub(crate) fn multiply(
    isa: Isa,
    source: &impl RowSource,
    weight: &Packed,
    depth: Range<usize>,
    finish: Finish,
    y: &mut [f32],
) {
    tasks(isa, source, weight, depth, finish, false, y);
}

/// `y = finish(y + rows * weight^T)`.
pub(crate) fn multiply_add(isa: Isa, source: &impl RowSource, weight: &Packed, finish: Finish, y: &mut [f32]) {
    tasks(isa, source, weight, 0..weight.depth, finish, true, y);
}

fn tasks(
    isa: Isa,
    source: &impl RowSource,
    weight: &Packed,
    depth: Range<usize>,
    finish: Finish,
    accumulate: bool,
    y: &mut [f32],
) {
    let columns = weight.rows;
    if source.count() == 0 {
        return;
    }
    if let Some(rows) = weight.stored_rows()
        && source.count() <= few::ROWS_MAX
        && depth == (0..weight.depth)
    {
        return few::multiply(isa, source, rows, finish, accumulate, y);
    }
    let (row_blocks, column_chunks) = grid(source.count(), columns, rayon::current_num_threads());
    let rows_per_block = source.count().div_ceil(row_blocks).next_multiple_of(ROWS_STEP);
    let panel_count = columns.div_ceil(PANEL);
    let panels_per_chunk = panel_count.div_ceil(column_chunks);
    let y = Output::new(y, columns);
    (0..row_blocks * column_chunks).into_par_iter().for_each_init(Scratch::default, |scratch, task| {
        // Neighbouring tasks share a chunk of the weight.
        let (chunk, block) = (task / row_blocks, task % row_blocks);
        let start = block * rows_per_block;
        let part = Part {
            rows: start..(start + rows_per_block).min(source.count()),
            panels: chunk * panels_per_chunk..((chunk + 1) * panels_per_chunk).min(panel_count),
            depth: depth.clone(),
            accumulate,
        };
        if !part.rows.is_empty() && !part.panels.is_empty() {
            part.run(isa, source, weight, finish, y, scratch);
        }
    });
}

/// Blocks of rows and chunks of columns: a few tasks a thread, rows first, since a chunk of columns
/// packs its rows anew.
fn grid(rows: usize, columns: usize, threads: usize) -> (usize, usize) {
    const TASKS_PER_THREAD: usize = 6;
    let row_blocks = rows.div_ceil(ROWS_MAX);
    let wanted = (TASKS_PER_THREAD * threads).div_ceil(row_blocks);
    // A chunk of fewer than four panels is not worth packing the rows for.
    (row_blocks, wanted.clamp(1, columns.div_ceil(4 * PANEL)))
}

struct Part {
    rows: Range<usize>,
    panels: Range<usize>,
    depth: Range<usize>,
    /// Whether the sum is added to what is there.
    accumulate: bool,
}

#[derive(Default)]
struct Scratch {
    rows: Vec<f32>,
    panel: Vec<f32>,
}

impl Part {
    fn run(
        &self,
        isa: Isa,
        source: &impl RowSource,
        weight: &Packed,
        finish: Finish,
        y: Output,
        scratch: &mut Scratch,
    ) {
        let row_count = self.rows.len();
        // Few rows are taken longer pieces of, so that a weight that lies in memory row by row is read in long runs.
        let span = (ROWS_MAX / row_count).max(1) * DEPTH_BLOCK;
        for span_start in self.depth.clone().step_by(span) {
            let span_end = self.depth.end.min(span_start + span);
            scratch.rows.resize(row_count * (span_end - span_start), 0.0);
            source.pack(self.rows.clone(), span_start..span_end, &mut scratch.rows);
            for panel in self.panels.clone() {
                let columns = PANEL.min(weight.rows - panel * PANEL);
                let c = y.at(self.rows.start, panel * PANEL);
                for start in (span_start..span_end).step_by(DEPTH_BLOCK) {
                    let len = DEPTH_BLOCK.min(span_end - start);
                    isa.run(PanelProduct::<BLOCK> {
                        a: &scratch.rows[(start - span_start) * row_count..],
                        a_stride: row_count * BLOCK,
                        rows: row_count,
                        depth: len,
                        b: weight.panel(isa, panel, start, len, &mut scratch.panel),
                        c,
                        columns,
                        accumulate: self.accumulate || start > self.depth.start,
                    });
                }
                if span_end == self.depth.end {
                    let bias = finish.bias.map(|bias| &bias[panel * PANEL..][..columns]);
                    isa.run(FinishPanel { c, rows: row_count, columns, finish: Finish { bias, ..finish } });
                }
            }
        }
    }
}

/// Finishes a panel while it is in the cache.
pub(super) struct FinishPanel<'a> {
    pub c: Output,
    pub rows: usize,
    pub columns: usize,
    pub finish: Finish<'a>,
}

impl WithSimd for FinishPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Finish { scale, bias, activation } = self.finish;
        if scale == 1.0 && bias.is_none() && activation == Activation::None {
            return;
        }
        let scale = simd.splat_f32s(scale);
        for row in 0..self.rows {
            // SAFETY: this task alone writes its rows and columns of the output.
            let values = unsafe { self.c.row(row, self.columns) };
            match bias {
                Some(bias) => zip_in_place(simd, values, bias, |value, bias| simd.mul_add_e_f32s(value, scale, bias)),
                None => map_in_place(simd, values, |value| simd.mul_f32s(value, scale)),
            }
            activation.apply(simd, values);
        }
    }
}
