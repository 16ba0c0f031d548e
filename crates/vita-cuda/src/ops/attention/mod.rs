//! Attention: `softmax(q k^T * scale) v` for each head, no mask, heads of 128.

mod eight_bits;
mod modes;
mod test_cases;

pub use modes::{Mode, attention_in};
pub(super) use test_cases::cases;
pub(crate) use test_cases::reference;

use super::{Float, Rows, Variant, everywhere};
use crate::arch::Arch;
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Shape, TensorMap, TileShape};

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
    call.check();
    let Attention { q, k, v, y, scale } = call;
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

impl Attention<'_> {
    /// Panics if the shapes or types do not fit, or there are no keys.
    pub(crate) fn check(&self) {
        let Self { q, k, v, y, scale } = self;
        assert!(q.shape() == y.shape() && k.shape() == v.shape() && q.width == k.width, "q, k, v and y");
        assert!(q.width.is_multiple_of(HEAD) && k.rows > 0, "{} wide, {} keys", q.width, k.rows);
        assert!([k.float, v.float, y.float] == [q.float; 3], "one type");
        assert!(*scale > 0.0, "a scale of {scale}");
        for (name, rows) in [("q", q), ("k", k), ("v", v), ("y", y)] {
            rows.check_eights(name);
        }
    }
}

fn on_hopper(machine: &dyn Machine, call: Attention) -> Result<()> {
    let Attention { q, k, v, y, scale } = call;
    let arguments = Arguments::new()
        .with(map_of(machine, q)?)
        .with(map_of(machine, k)?)
        .with(map_of(machine, v)?)
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

/// Tiles of 64 columns and 128 rows.
fn map_of(machine: &dyn Machine, rows: Rows) -> Result<TensorMap> {
    let tile = TileShape {
        sizes: [rows.width as u64, rows.rows as u64, 1, 1],
        strides_bytes: [rows.stride as u64 * rows.float.bytes(), 0, 0],
        tile: [64, 128, 1, 1],
        axes: 2,
    };
    machine.tensor_map(rows.data.pointer(), &tile)
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
    all.extend(eight_bits::variants());
    all
}
