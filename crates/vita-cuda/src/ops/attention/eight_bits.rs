//! Attention whose products are of eight-bit numbers: k and v are quantised into scratch, then one kernel does the rest.

use super::{Attention, HEAD, QUERIES, instructions, map_of};
use crate::arch::Arch;
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Pointer, Shape, TensorMap, TileShape};
use crate::memory::{Buffer, Pool};
use crate::ops::{Float, Rows, Variant, everywhere};

/// The text of the kernels that quantise.
const QUANTISE: &str = include_str!("quantise.cu");

/// Parts of the rows that columns are folded in.
const PARTS: usize = 16;

/// Threads of a block that quantises.
const THREADS: u32 = 256;

/// Tokens of a block that quantises values.
const TOKENS: usize = 64;

/// Quantised values have so many tokens, or a multiple; those beyond the last are zeros.
const TOKENS_STEP: usize = 128;

/// Scales of a tile of keys.
const SCALES: usize = 4;

/// Keys of a tile.
const KEYS: usize = 64;

/// The same on Hopper.
const KEYS_ON_HOPPER: usize = 128;

/// How weights and values are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// In the 16 bits that they have.
    Kept,
    /// As e4m3, from Ada on.
    E4m3,
    /// As int8.
    S8,
}

/// As [`super::attention`]; the scores' products are of int8.
pub fn attention(pool: &Pool, values: Values, call: Attention) -> Result<()> {
    call.check();
    if call.q.rows == 0 {
        return Ok(());
    }
    let on_hopper = pool.machine().properties().arch.has_wgmma();
    let k = Codes::of_keys(pool, call.k, if on_hopper { KEYS_ON_HOPPER } else { KEYS })?;
    let v = match values {
        Values::Kept => None,
        Values::E4m3 | Values::S8 => Some(Codes::of_values(pool, call.v, values)?),
    };
    if on_hopper { multiply_on_hopper(pool, values, call, k, v) } else { multiply(pool, values, call, k, v) }
}

/// Bytes of [`Codes`] for so many keys.
pub fn scratch_bytes(values: Values, keys: usize, width: usize) -> u64 {
    let columns = 4 * (PARTS * width);
    let of_keys = keys * width + 4 * (SCALES * keys.div_ceil(KEYS) * (width / HEAD)) + columns;
    let of_values = match values {
        Values::Kept => 0,
        Values::E4m3 | Values::S8 => keys.next_multiple_of(TOKENS_STEP) * width + 4 * width + columns,
    };
    (of_keys + of_values) as u64
}

/// Numbers of eight bits, and what they are to be multiplied by.
struct Codes {
    codes: Buffer,
    scales: Buffer,
    /// Bytes from one row of codes to the next.
    pitch: usize,
}

impl Codes {
    /// Keys less their mean: `[S, H * 128]`, [`SCALES`] for each head of `keys` rows.
    fn of_keys(pool: &Pool, k: Rows, keys: usize) -> Result<Self> {
        let (heads, blocks) = (k.width / HEAD, k.rows.div_ceil(keys));
        let sums = pool.allocate(4 * (PARTS * k.width) as u64)?;
        let codes = pool.allocate((k.rows * k.width) as u64)?;
        let scales = pool.allocate(4 * (SCALES * heads * blocks) as u64)?;
        let arguments = input(k)
            .with(sums.slice().pointer())
            .with(codes.slice().pointer())
            .with(scales.slice().pointer())
            .with(k.width as u32);
        fold_columns(pool, &keys_source("sum_columns", k.float, keys), k, &sums)?;
        let shape = Shape { grid: [blocks as u32, heads as u32, 1], threads: THREADS, shared_bytes: 0 };
        // SAFETY: the arguments are in the kernel's order, and the scratch has room for rows, heads and blocks.
        unsafe { pool.machine().launch(&keys_source("quantise_keys", k.float, keys), shape, &arguments)? };
        Ok(Self { codes, scales, pitch: k.width })
    }

    /// Values by column: `[H * 128, S and zeros]`, a scale for each column.
    fn of_values(pool: &Pool, v: Rows, values: Values) -> Result<Self> {
        let pitch = v.rows.next_multiple_of(TOKENS_STEP);
        let sizes = pool.allocate(4 * (PARTS * v.width) as u64)?;
        let codes = pool.allocate((pitch * v.width) as u64)?;
        let scales = pool.allocate(4 * v.width as u64)?;
        let arguments = input(v)
            .with(sizes.slice().pointer())
            .with(codes.slice().pointer())
            .with(pitch as u64)
            .with(scales.slice().pointer())
            .with(v.width as u32);
        fold_columns(pool, &values_source("size_columns", v.float, values), v, &sizes)?;
        let grid = [(pitch / TOKENS) as u32, (v.width / HEAD) as u32, 1];
        let shape = Shape { grid, threads: THREADS, shared_bytes: 0 };
        // SAFETY: the arguments are in the kernel's order, and the scratch has room for columns of `pitch` tokens.
        unsafe { pool.machine().launch(&values_source("quantise_values", v.float, values), shape, &arguments)? };
        Ok(Self { codes, scales, pitch })
    }

    /// Tiles of 128 by 128 codes, as pairs of bytes.
    fn map(&self, machine: &dyn Machine, rows: usize) -> Result<TensorMap> {
        let tile = TileShape {
            sizes: [self.pitch as u64 / 2, rows as u64, 1, 1],
            strides_bytes: [self.pitch as u64, 0, 0],
            tile: [64, 128, 1, 1],
            axes: 2,
        };
        machine.tensor_map(self.codes.slice().pointer(), &tile)
    }
}

fn input(x: Rows) -> Arguments {
    Arguments::new().with(x.data.pointer()).with(x.stride as u64).with(x.rows as u32)
}

/// Folds each column over a sixteenth of the rows: `[PARTS, width]` of f32.
fn fold_columns(pool: &Pool, source: &Source, x: Rows, parts: &Buffer) -> Result<()> {
    let arguments = input(x).with(parts.slice().pointer()).with(x.width as u32);
    let grid = [PARTS as u32, (x.width / HEAD) as u32, 1];
    // SAFETY: the arguments are in the kernel's order; rows and strides were checked against the slices.
    unsafe { pool.machine().launch(source, Shape { grid, threads: THREADS, shared_bytes: 0 }, &arguments) }
}

fn multiply(pool: &Pool, values: Values, call: Attention, k: Codes, v: Option<Codes>) -> Result<()> {
    let Attention { q, y, scale, .. } = call;
    let (value_pointer, value_scales, value_stride) = match &v {
        Some(v) => (v.codes.slice().pointer(), v.scales.slice().pointer(), v.pitch),
        None => (call.v.data.pointer(), Pointer(0), call.v.stride),
    };
    let arguments = Arguments::new()
        .with(q.data.pointer())
        .with(k.codes.slice().pointer())
        .with(k.scales.slice().pointer())
        .with(value_pointer)
        .with(value_scales)
        .with(y.data.pointer())
        .with(q.stride as u64)
        .with(k.pitch as u64)
        .with(value_stride as u64)
        .with(y.stride as u64)
        .with(q.rows as u32)
        .with(call.k.rows as u32)
        .with(scale);
    // Queries, a tile of keys and one of values, the queries' scales.
    let shared_bytes = (QUERIES * HEAD + KEYS * HEAD * bytes(values) + 4 * QUERIES) as u32;
    let shape = Shape { grid: grid(q), threads: 128, shared_bytes };
    // SAFETY: the arguments are in the kernel's order; rows, strides and widths were checked against the slices, and
    // the scratch was made for them.
    unsafe { pool.machine().launch(&source(q.float, values), shape, &arguments) }
}

fn multiply_on_hopper(pool: &Pool, values: Values, call: Attention, k: Codes, v: Option<Codes>) -> Result<()> {
    let Attention { q, y, scale, .. } = call;
    let machine = &**pool.machine();
    let (value_map, value_scales) = match &v {
        Some(v) => (v.map(machine, call.v.width)?, v.scales.slice().pointer()),
        None => (map_of(machine, call.v)?, Pointer(0)),
    };
    let arguments = Arguments::new()
        .with(q.data.pointer())
        .with(k.map(machine, call.k.rows)?)
        .with(k.scales.slice().pointer())
        .with(value_map)
        .with(value_scales)
        .with(y.data.pointer())
        .with(q.stride as u64)
        .with(y.stride as u64)
        .with(q.rows as u32)
        .with(call.k.rows as u32)
        .with(scale);
    // Queries, two tiles of keys and two of values, barriers, the queries' scales.
    let shared_bytes = (QUERIES * HEAD + 2 * KEYS_ON_HOPPER * HEAD * bytes(values) + 128 + 4 * QUERIES) as u32;
    // SAFETY: as above, and the copy engine stays within the sizes it is told.
    unsafe {
        machine.launch(&hopper_source(q.float, values), Shape { grid: grid(q), threads: 384, shared_bytes }, &arguments)
    }
}

fn grid(q: Rows) -> [u32; 3] {
    [q.rows.div_ceil(QUERIES) as u32, (q.width / HEAD) as u32, 1]
}

/// Bytes of a key's and a value's element together.
fn bytes(values: Values) -> usize {
    if values == Values::Kept { 3 } else { 2 }
}

fn keys_source(kernel: &'static str, x: Float, keys: usize) -> Source {
    Source::new(kernel, QUANTISE).define("X", x).define("KEYS", keys)
}

fn values_source(kernel: &'static str, x: Float, values: Values) -> Source {
    Source::new(kernel, QUANTISE).define("X", x).define("VALUES", name(values))
}

fn source(float: Float, values: Values) -> Source {
    let text = concat!(include_str!("eight_bits.cuh"), include_str!("eight_bits.cu"));
    let (multiply, pack) = instructions(float);
    Source::new("attention_eight_bits", text)
        .define("T", float)
        .define("MULTIPLY", multiply)
        .define("PACK", pack)
        .define("VALUES", name(values))
}

fn hopper_source(float: Float, values: Values) -> Source {
    let text =
        concat!(include_str!("hopper.cuh"), include_str!("eight_bits.cuh"), include_str!("hopper_eight_bits.cu"));
    Source::new("attention_hopper_eight_bits", text)
        .define("T", float)
        .define("PACK", instructions(float).1)
        .define("VALUES", name(values))
}

/// As the kernels call it.
fn name(values: Values) -> &'static str {
    match values {
        Values::Kept => "KEPT",
        Values::E4m3 => "E4M3",
        Values::S8 => "S8",
    }
}

pub fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    let mut add = |source, functions, runs_on| all.push(Variant { source, functions, runs_on });
    for float in [Float::Bf16, Float::F16] {
        let functions: &[&str] = &["quantise_keys", "sum_columns"];
        add(keys_source("quantise_keys", float, KEYS), functions, everywhere);
        add(keys_source("quantise_keys", float, KEYS_ON_HOPPER), functions, Arch::has_wgmma);
        for values in [Values::Kept, Values::S8, Values::E4m3] {
            let runs_on: fn(Arch) -> bool = if values == Values::E4m3 { Arch::has_fp8 } else { everywhere };
            if values != Values::Kept {
                add(values_source("quantise_values", float, values), &["quantise_values", "size_columns"], runs_on);
            }
            add(source(float, values), &["attention_eight_bits"], runs_on);
            add(hopper_source(float, values), &["attention_hopper_eight_bits"], Arch::has_wgmma);
        }
    }
    all
}
