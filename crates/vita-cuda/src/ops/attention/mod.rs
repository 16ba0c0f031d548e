//! Attention: `softmax(q k^T * scale) v` for each head, no mask, heads of 128.

use super::{Float, Rows, Variant, everywhere};
use crate::arch::Arch;
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Shape, TileShape};
use crate::selftest::{Case, Pair, Random};

/// Width of a head of every Wan model.
pub const HEAD: usize = 128;

/// Queries of a block.
const QUERIES: usize = 128;

/// Attention of some queries to some keys.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// `[L, H * 128]`, bf16 or f16; rows may be parts of longer ones.
    pub q: Rows<'a>,
    /// `[S, H * 128]`, S at least 1.
    pub k: Rows<'a>,
    /// `[S, H * 128]`
    pub v: Rows<'a>,
    /// `[L, H * 128]`; not `q`, `k` or `v`.
    pub y: Rows<'a>,
    /// Factor of the scores, `1 / sqrt(128)` in Wan.
    pub scale: f32,
}

/// `softmax(q k^T * scale) v` for each head, with weights and sums in f32.
///
/// # Panics
/// If the shapes or types do not fit, or there are no keys.
///
/// # Errors
/// If the card does not answer.
pub fn attention(machine: &dyn Machine, call: Attention) -> Result<()> {
    let Attention { q, k, v, y, scale } = call;
    assert!(q.shape() == y.shape() && k.shape() == v.shape() && q.width == k.width, "q, k, v and y");
    assert!(q.width.is_multiple_of(HEAD) && k.rows > 0, "{} wide, {} keys", q.width, k.rows);
    assert!([k.float, v.float, y.float] == [q.float; 3], "one type");
    assert!(scale > 0.0, "a scale of {scale}");
    for (name, rows) in [("q", &q), ("k", &k), ("v", &v), ("y", &y)] {
        rows.check_eights(name);
    }
    if q.rows == 0 {
        return Ok(());
    }
    if machine.properties().arch.has_wgmma() {
        return on_hopper(machine, call);
    }
    let keys = keys_of_tile(machine.properties().shared_bytes_max);
    let arguments = Arguments::new()
        .with(q.data.pointer())
        .with(k.data.pointer())
        .with(v.data.pointer())
        .with(y.data.pointer())
        .with(q.stride as u64)
        .with(k.stride as u64)
        .with(v.stride as u64)
        .with(y.stride as u64)
        .with(q.rows as u32)
        .with(k.rows as u32)
        .with(scale);
    let grid = [q.rows.div_ceil(QUERIES) as u32, (q.width / HEAD) as u32, 1];
    let shape = Shape { grid, threads: 128, shared_bytes: ((QUERIES + 2 * keys) * HEAD * 2) as u32 };
    // SAFETY: the arguments are in the kernel's order; rows, strides and widths were checked against the slices.
    unsafe { machine.launch(&source(q.float, keys), shape, &arguments) }
}

fn on_hopper(machine: &dyn Machine, call: Attention) -> Result<()> {
    let Attention { q, k, v, y, scale } = call;
    let map = |rows: Rows| {
        machine.tensor_map(
            rows.data.pointer(),
            &TileShape {
                sizes: [rows.width as u64, rows.rows as u64, 1, 1],
                strides_bytes: [rows.stride as u64 * rows.float.bytes(), 0, 0],
                tile: [64, 128, 1, 1],
                axes: 2,
            },
        )
    };
    let arguments = Arguments::new()
        .with(map(q)?)
        .with(map(k)?)
        .with(map(v)?)
        .with(y.data.pointer())
        .with(y.stride as u64)
        .with(q.rows as u32)
        .with(k.rows as u32)
        .with(scale);
    let grid = [q.rows.div_ceil(QUERIES) as u32, (q.width / HEAD) as u32, 1];
    // Queries, two tiles of keys and two of values, barriers.
    let shape = Shape { grid, threads: 384, shared_bytes: 5 * (128 * HEAD * 2) as u32 + 128 };
    // SAFETY: the arguments are in the kernel's order; rows, strides and widths were checked against the slices, and
    // the copy engine stays within the sizes it is told.
    unsafe { machine.launch(&hopper_source(q.float), shape, &arguments) }
}

/// Two blocks should share a multiprocessor: 64 KiB each, or 48 where it has 100.
fn keys_of_tile(shared_bytes_max: u32) -> usize {
    if shared_bytes_max >= 128 << 10 { 64 } else { 32 }
}

/// How kernels call what they do with a type: multiply, and make of two f32.
fn instructions(float: Float) -> (&'static str, &'static str) {
    match float {
        Float::Bf16 => ("multiply_bf16", "pack_bf16"),
        Float::F16 => ("multiply_f16", "pack_f16"),
        other => panic!("attention of {other}"),
    }
}

fn hopper_source(float: Float) -> Source {
    let text = concat!(include_str!("hopper.cuh"), include_str!("hopper.cu"));
    Source::new("attention_hopper", text).define("T", float).define("PACK", instructions(float).1)
}

fn source(float: Float, keys: usize) -> Source {
    let (multiply, pack) = instructions(float);
    Source::new("attention", include_str!("mma.cu"))
        .define("T", float)
        .define("MULTIPLY", multiply)
        .define("PACK", pack)
        .define("KEYS", keys)
}

pub(super) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for float in [Float::Bf16, Float::F16] {
        for keys in [64, 32] {
            let source = source(float, keys);
            all.push(Variant { source, functions: &["attention"], runs_on: everywhere });
        }
        let source = hopper_source(float);
        all.push(Variant { source, functions: &["attention_hopper"], runs_on: Arch::has_wgmma });
    }
    all
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (queries, keys, heads) in [(1, 1, 1), (130, 64, 2), (64, 200, 1), (200, 515, 1)] {
        for float in [Float::Bf16, Float::F16] {
            all.push(case(queries, keys, heads, float));
        }
    }
    all
}

fn case(queries: usize, keys: usize, heads: usize, float: Float) -> Case {
    let width = heads * HEAD;
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new((queries * 1000 + keys) as u64);
        // Scores of some size, so that the softmax is not flat, and some far larger than those before.
        let input = (0..queries * width).map(|_| 2.0 * random.normal()).collect();
        let q = bench.numbers(input, float)?;
        let k = (0..keys * width).map(|i| random.normal() * if i / width % 37 == 36 { 3.0 } else { 1.0 }).collect();
        let (k, v) = (bench.numbers(k, float)?, bench.random(&mut random, float, keys * width)?);
        let y = bench.poisoned(float, queries * width)?;
        let scale = 1.0 / (HEAD as f32).sqrt();
        let rows = Rows::new(y.slice(), float, queries, width);
        attention(bench.machine(), Attention { q: q.rows(width), k: k.rows(width), v: v.rows(width), y: rows, scale })?;
        let want = reference(&q.values, &k.values, &v.values, width, scale);
        Ok(vec![Pair { got: bench.read(&y, float)?, want }])
    };
    Case {
        op: "attention",
        title: format!("{queries} queries, {keys} keys, {heads} heads, {float}"),
        error_max: if float == Float::Bf16 { 5e-3 } else { 1e-3 },
        runs_on: everywhere,
        run: Box::new(run),
    }
}

/// The definition, row by row in f64.
fn reference(q: &[f32], k: &[f32], v: &[f32], width: usize, scale: f32) -> Vec<f64> {
    let mut y = Vec::new();
    for query in q.chunks(width) {
        for head in (0..width).step_by(HEAD) {
            let dot = |key: &[f32]| -> f64 {
                let pairs = query[head..head + HEAD].iter().zip(&key[head..head + HEAD]);
                pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() * f64::from(scale)
            };
            let scores: Vec<f64> = k.chunks(width).map(dot).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
            let total: f64 = weights.iter().sum();
            let mut row = [0.0; HEAD];
            for (weight, value) in weights.iter().zip(v.chunks(width)) {
                row.iter_mut().zip(&value[head..]).for_each(|(sum, &value)| *sum += weight / total * f64::from(value));
            }
            y.extend(row);
        }
    }
    y
}
