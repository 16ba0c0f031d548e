//! Activations as e4m3, for products of 8-bit floats.

use super::activation::element_blocks;
use super::{Float, Rows, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Shape};
use crate::memory::Slice;
use crate::selftest::{Case, Pair, Random};

/// The text of all three kernels.
const TEXT: &str = include_str!("kernel.cu");

/// Threads of a block that holds a row.
const THREADS: usize = 128;

/// Rows of a block.
const ROWS: usize = 4;

/// The widest row that is quantised by a scale of its own.
pub const WIDTH_MAX: usize = 16 * 8 * THREADS;

/// `y = x / scale` as e4m3, where `scale = max |x| / 448` is written to `scale` (f32). `work` is four bytes.
///
/// x, y: `[L, C]` without gaps, `L * C` a multiple of 8.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn quantise_tensor(machine: &dyn Machine, x: Rows, y: Rows, scale: Slice, work: Slice) -> Result<()> {
    let count = check(&x, &y);
    assert_eq!(count, x.element_count());
    assert!(scale.bytes() >= 4 && work.bytes() >= 4, "room for a number");
    if count == 0 {
        return Ok(());
    }
    let shape: Shape = element_blocks(machine, count);
    let largest = Arguments::new().with(x.data.pointer()).with(count as u64).with(work.pointer());
    let quantise = Arguments::new()
        .with(x.data.pointer())
        .with(y.data.pointer())
        .with(count as u64)
        .with(work.pointer())
        .with(scale.pointer());
    // SAFETY: the arguments are in the kernels' order; the counts were checked against the slices.
    unsafe {
        machine.fill(work.pointer(), 4, 0)?;
        machine.launch(&source("largest", x.float), shape, &largest)?;
        machine.launch(&source("quantise_tensor", x.float), shape, &quantise)
    }
}

/// `y = x / scale` as e4m3, with `scale = max |x| / 448` of each row in `row_scale` (`L` of f32).
///
/// x, y: `[L, C]`, C a multiple of 8 and at most [`WIDTH_MAX`].
///
/// # Panics
/// If the shapes do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn quantise_rows(machine: &dyn Machine, x: Rows, y: Rows, row_scale: Slice) -> Result<()> {
    check(&x, &y);
    assert!(row_scale.bytes() >= 4 * x.rows as u64, "{} scales", x.rows);
    assert!(x.width <= WIDTH_MAX, "rows of {}", x.width);
    if x.rows == 0 {
        return Ok(());
    }
    let arguments = Arguments::new()
        .with(x.data.pointer())
        .with(x.stride as u64)
        .with(y.data.pointer())
        .with(y.stride as u64)
        .with(row_scale.pointer())
        .with(x.rows as u32)
        .with(x.width as u32);
    let shape = Shape::new(x.rows.div_ceil(ROWS) as u32, THREADS as u32);
    // SAFETY: the arguments are in the kernel's order; rows, strides and widths were checked against the slices.
    unsafe { machine.launch(&rows_source(x.float, x.width), shape, &arguments) }
}

fn check(x: &Rows, y: &Rows) -> usize {
    assert_eq!((x.shape(), y.float), (y.shape(), Float::E4m3), "x and y");
    x.check_eights("x");
    y.check_eights("y");
    x.rows * x.width
}

fn source(kernel: &'static str, x: Float) -> Source {
    Source::new(kernel, TEXT).define("X", x)
}

fn rows_source(x: Float, width: usize) -> Source {
    source("quantise_rows", x).define("VECTORS", width.div_ceil(8 * THREADS)).define("ROWS", ROWS)
}

pub(super) fn variants() -> Vec<Variant> {
    let rows = [1536, 5120, 8960, 13824].map(|width| Variant {
        source: rows_source(Float::Bf16, width),
        functions: &["quantise_rows", "quantise_tensor", "largest"],
        runs_on: everywhere,
    });
    rows.into_iter().collect()
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (rows, width) in [(1, 8), (7, 1536), (5, 13824), (6, 1000)] {
        for x in [Float::Bf16, Float::F32] {
            all.extend([false, true].map(|by_row| case(rows, width, x, by_row)));
        }
    }
    all
}

fn case(rows: usize, width: usize, x: Float, by_row: bool) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new(width as u64);
        // Rows of very different size; the second is zero.
        let values =
            (0..rows * width).map(|i| random.normal() * if i / width == 1 { 0.0 } else { (i / width + 1) as f32 });
        let input = bench.numbers(values.collect(), x)?;
        let (output, scales) = (bench.poisoned(Float::E4m3, rows * width)?, bench.poisoned(Float::F32, rows)?);
        let codes = Rows::new(output.slice(), Float::E4m3, rows, width);
        let work = bench.poisoned(Float::F32, 1)?;
        match by_row {
            true => quantise_rows(bench.machine(), input.rows(width), codes, scales.slice())?,
            false => quantise_tensor(bench.machine(), input.rows(width), codes, scales.slice(), work.slice())?,
        }
        let scales = bench.read(&scales, Float::F32)?;
        let got = bench.read(&output, Float::E4m3)?;
        let (mut want_values, mut want_scales) = (Vec::new(), Vec::new());
        for (row, values) in input.values.chunks(width).enumerate() {
            let of = if by_row { values } else { &input.values[..] };
            let most = of.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            want_scales.push(f64::from(most / 448.0));
            let scale = f64::from(scales[if by_row { row } else { 0 }]);
            let back = if most > 0.0 { 448.0 / most } else { 0.0 };
            want_values.extend(values.iter().map(|&value| super::cast::rounded(Float::E4m3, value * back) * scale));
        }
        want_scales.truncate(if by_row { rows } else { 1 });
        let scale_of = |i: usize| scales[if by_row { i / width } else { 0 }];
        let got = got.iter().enumerate().map(|(i, &code)| code * scale_of(i)).collect();
        Ok(vec![Pair { got, want: want_values }, Pair { got: scales[..want_scales.len()].to_vec(), want: want_scales }])
    };
    Case {
        op: if by_row { "quantise_rows" } else { "quantise_tensor" },
        title: format!("{rows}x{width} {x}"),
        // A quotient may round to the other neighbour once in a while.
        error_max: 5e-3,
        runs_on: everywhere,
        run: Box::new(run),
    }
}
