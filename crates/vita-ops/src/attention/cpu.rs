//! Attention on a processor, one block of queries and one block of keys at a time, with the softmax's
//! maximum and sum carried along (Milakov and Gimelshein, "Online normalizer calculation for softmax").
//!
//! Logits are computed turned, keys by queries: a vector then holds one key's logits of many queries, so
//! maxima and sums need no shuffles, and the weights are already the panel that the product with the
//! values wants.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use vita_tensor::Tensor;

use super::AttentionOptions;
use crate::gemm::{BLOCK, Output, PANEL, PanelProduct, pack_rows};
use crate::simd::{Isa, exp};

/// Panels of queries of a task: the block of keys is read once for all of them.
const QUERY_PANELS: usize = 3;

/// Queries of a task.
const QUERY_BLOCK: usize = QUERY_PANELS * PANEL;

/// Keys at a time: their logits with a task's queries take 48 KiB.
const KEY_BLOCK: usize = 128;

/// Where a running maximum starts: below every logit, but not so far that a difference is infinite.
const LOWEST: f32 = -1e30;

pub fn attention(isa: Isa, q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions, out: &mut [f32]) {
    let [queries, heads, width] = q.sizes();
    if out.is_empty() {
        return;
    }
    let bias = options.position_bias.map(crate::to_f32);
    let blocks = queries.div_ceil(QUERY_BLOCK);
    // Only a few heads are packed at a time: enough to share out, not a copy of all keys and values.
    let heads_at_once = (4 * rayon::current_num_threads()).div_ceil(blocks).min(heads);
    let out = Output::new(out, heads * width);
    let mut packed: Vec<Head> = (0..heads_at_once).map(|_| Head::default()).collect();
    for first in (0..heads).step_by(heads_at_once) {
        let count = heads_at_once.min(heads - first);
        packed[..count].par_iter_mut().enumerate().for_each(|(i, head)| head.pack(k, v, first + i));
        (0..count * blocks).into_par_iter().for_each_init(Scratch::default, |scratch, task| {
            let (i, block) = (task / blocks, task % blocks);
            let head = first + i;
            let start = block * QUERY_BLOCK;
            let rows = start..(start + QUERY_BLOCK).min(queries);
            scratch.load_queries(q, head, rows.clone(), options.scale);
            isa.run(Block {
                keys: &packed[i],
                key_bias: options.key_bias,
                position_bias: bias.as_ref().map(|bias| {
                    let row = bias.dims()[1];
                    &bias.f32s()[head * row..][..row]
                }),
                first_query: start,
                query_count: rows.len(),
                width,
                scratch,
            });
            scratch.store(out.at(start, head * width), rows.len(), width);
        });
    }
}

/// One head's keys and values, packed.
#[derive(Default)]
struct Head {
    /// Keys in blocks of [`BLOCK`] values, see [`pack_rows`].
    k: Vec<f32>,
    /// `[S, D]`
    v: Vec<f32>,
    count: usize,
}

impl Head {
    fn pack(&mut self, k: &Tensor, v: &Tensor, head: usize) {
        let [count, _, width] = k.sizes();
        self.count = count;
        self.k.resize(count * width.next_multiple_of(BLOCK), 0.0);
        self.v.resize(count * width, 0.0);
        let (k, v) = (k.select(1, head), v.select(1, head));
        with_rows(&k, |values, stride| {
            pack_rows((0..count).map(|row| &values[row * stride..][..width]), width, &mut self.k);
        });
        with_rows(&v, |values, stride| {
            for (row, to) in self.v.chunks_exact_mut(width).enumerate() {
                to.copy_from_slice(&values[row * stride..][..width]);
            }
        });
    }
}

/// Hands over a matrix's values and row stride, copying it first where its rows are not contiguous.
fn with_rows(x: &Tensor, work: impl FnOnce(&[f32], usize)) {
    match (&*x.strides(), x.try_f32s()) {
        (&[stride, 1], Some(values)) => work(values, stride),
        _ => work(&x.to_vec(), x.dims()[1]),
    }
}

/// What a task works on; all of it stays in the second cache.
#[derive(Default)]
struct Scratch {
    /// Scaled queries, turned: `[QUERY_PANELS][D rounded up][PANEL]`.
    queries: Vec<f32>,
    /// Logits, then weights: `[KEY_BLOCK][PANEL]` of one panel of queries.
    weights: Vec<f32>,
    /// Sums of weighted values, turned: `[QUERY_PANELS][D][PANEL]`.
    sums: Vec<f32>,
    /// Running maxima and sums of weights, `[QUERY_BLOCK]` each.
    max: Vec<f32>,
    total: Vec<f32>,
}

impl Scratch {
    fn load_queries(&mut self, q: &Tensor, head: usize, rows: std::ops::Range<usize>, scale: f32) {
        let width = q.dims()[2];
        let depth = width.next_multiple_of(BLOCK);
        let q = q.select(1, head);
        self.queries.clear();
        self.queries.resize(QUERY_PANELS * depth * PANEL, 0.0);
        with_rows(&q, |values, stride| {
            for (i, row) in rows.enumerate() {
                let (panel, column) = (i / PANEL, i % PANEL);
                for (d, &value) in values[row * stride..][..width].iter().enumerate() {
                    self.queries[(panel * depth + d) * PANEL + column] = value * scale;
                }
            }
        });
        self.weights.resize(KEY_BLOCK * PANEL, 0.0);
        self.sums.clear();
        self.sums.resize(QUERY_PANELS * width * PANEL, 0.0);
        self.max.clear();
        self.max.resize(QUERY_BLOCK, LOWEST);
        self.total.clear();
        self.total.resize(QUERY_BLOCK, 0.0);
    }

    fn store(&self, out: Output, count: usize, width: usize) {
        for i in 0..count {
            let (panel, column) = (i / PANEL, i % PANEL);
            let total = self.total[i];
            let factor = if total > 0.0 || total.is_nan() { 1.0 / total } else { 0.0 };
            // SAFETY: this task alone writes these queries of this head.
            let row = unsafe { out.row(i, width) };
            for (d, value) in row.iter_mut().enumerate() {
                *value = self.sums[(panel * width + d) * PANEL + column] * factor;
            }
        }
    }
}

/// One block of queries against all keys of a head.
struct Block<'a> {
    keys: &'a Head,
    key_bias: Option<&'a [f32]>,
    /// The head's row of the position bias.
    position_bias: Option<&'a [f32]>,
    first_query: usize,
    query_count: usize,
    width: usize,
    scratch: &'a mut Scratch,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Scratch { queries, weights, sums, max, total } = self.scratch;
        let (width, depth) = (self.width, self.width.next_multiple_of(BLOCK));
        let key_count = self.keys.count;
        for first_key in (0..key_count).step_by(KEY_BLOCK) {
            let count = KEY_BLOCK.min(key_count - first_key);
            for panel in 0..self.query_count.div_ceil(PANEL) {
                let sums = &mut sums[panel * width * PANEL..][..width * PANEL];
                Simd::vectorize(
                    simd,
                    PanelProduct::<BLOCK> {
                        a: &self.keys.k[first_key * BLOCK..],
                        a_stride: key_count * BLOCK,
                        rows: count,
                        depth,
                        b: &queries[panel * depth * PANEL..],
                        c: Output::new(weights, PANEL),
                        columns: PANEL,
                        accumulate: false,
                    },
                );
                let columns = PANEL.min(self.query_count - panel * PANEL);
                let first_query = self.first_query + panel * PANEL;
                for (i, logits) in weights.as_chunks_mut::<PANEL>().0[..count].iter_mut().enumerate() {
                    let key = first_key + i;
                    if let Some(bias) = self.key_bias {
                        logits.iter_mut().for_each(|logit| *logit += bias[key]);
                    }
                    if let Some(bias) = self.position_bias {
                        let bias = &bias[first_query + key_count - 1 - key..][..columns];
                        logits.iter_mut().zip(bias).for_each(|(logit, bias)| *logit += bias);
                    }
                }
                let range = panel * PANEL..(panel + 1) * PANEL;
                soften(simd, &mut weights[..count * PANEL], &mut max[range.clone()], &mut total[range], sums);
                Simd::vectorize(
                    simd,
                    PanelProduct::<1> {
                        a: &self.keys.v[first_key * width..],
                        a_stride: width,
                        rows: width,
                        depth: count,
                        b: weights,
                        c: Output::new(sums, PANEL),
                        columns: PANEL,
                        accumulate: true,
                    },
                );
            }
        }
    }
}

/// Turns a panel of logits `[keys, PANEL]` into weights `e^(logit - max)`; where that raises a query's
/// maximum, what was summed under the old one is scaled down.
#[inline(always)]
fn soften<S: Simd>(simd: S, logits: &mut [f32], max: &mut [f32], total: &mut [f32], sums: &mut [f32]) {
    for lane in (0..PANEL).step_by(S::F32_LANES) {
        let lanes = lane..lane + S::F32_LANES;
        let old_max = simd.partial_load_f32s(&max[lanes.clone()]);
        let mut new_max = old_max;
        for row in logits.as_chunks::<PANEL>().0 {
            new_max = simd.max_f32s(new_max, S::as_simd_f32s(&row[lanes.clone()]).0[0]);
        }
        let mut sum = simd.splat_f32s(0.0);
        for row in logits.as_chunks_mut::<PANEL>().0 {
            let logit = &mut S::as_mut_simd_f32s(&mut row[lanes.clone()]).0[0];
            *logit = exp(simd, simd.sub_f32s(*logit, new_max));
            sum = simd.add_f32s(sum, *logit);
        }
        let shrink = exp(simd, simd.sub_f32s(old_max, new_max));
        for row in sums.as_chunks_mut::<PANEL>().0 {
            let sum = &mut S::as_mut_simd_f32s(&mut row[lanes.clone()]).0[0];
            *sum = simd.mul_f32s(*sum, shrink);
        }
        let old_total = simd.partial_load_f32s(&total[lanes.clone()]);
        simd.partial_store_f32s(&mut total[lanes.clone()], simd.mul_add_e_f32s(old_total, shrink, sum));
        simd.partial_store_f32s(&mut max[lanes], new_max);
    }
}
