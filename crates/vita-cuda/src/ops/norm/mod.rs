//! Norms of rows: layer norm with what follows it, and RMS norm with the rotary embedding.

mod test_cases;

use super::{Float, Modulation, Rows, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Pointer, Shape};
use crate::memory::Slice;

pub(super) use test_cases::cases;

/// Threads of a block; one block holds a row.
const THREADS: usize = 128;

/// Widest row: eight vectors a thread stay in registers.
const WIDTH_MAX: usize = 8 * 8 * THREADS;

/// Rows of a block: enough to read the modulation seldom, few enough to fill a card.
const ROWS: usize = 8;

/// What follows a layer norm.
#[derive(Clone, Copy)]
pub enum Affine<'a> {
    /// Nothing.
    None,
    /// `y * weight + bias`, one row each.
    Weight {
        /// `[C]`
        weight: Modulation<'a>,
        /// `[C]`
        bias: Modulation<'a>,
    },
    /// `y * (1 + scale) + shift`.
    Modulate {
        /// `[T, C]`
        scale: Modulation<'a>,
        /// `[T, C]`
        shift: Modulation<'a>,
    },
}

/// A layer norm.
#[derive(Clone, Copy)]
pub struct LayerNorm<'a> {
    /// `[L, C]`, C a multiple of 8 and at most 8192.
    pub x: Rows<'a>,
    /// `[L, C]`; may be `x`. As e4m3 it is quantised with a scale for each row.
    pub y: Rows<'a>,
    /// What follows.
    pub affine: Affine<'a>,
    /// `L` elements of f32, for e4m3 only: `value = code * scale`.
    pub row_scale: Option<Slice<'a>>,
    /// Added to the variance.
    pub epsilon: f32,
}

/// `y = affine((x - mean) / sqrt(variance + epsilon))` for each row.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn layer_norm(machine: &dyn Machine, call: LayerNorm) -> Result<()> {
    let LayerNorm { x, y, affine, row_scale, epsilon } = call;
    check_rows(&x, &y);
    let shape = x.shape();
    let (affine_kind, scale, shift, rows_per_group) = match affine {
        Affine::None => (0, None, None, 1),
        Affine::Weight { weight, bias } => {
            assert!(weight.groups == 1 && bias.groups == 1, "one weight for all rows");
            bias.rows_per_group(shape);
            (1, Some(weight), Some(bias), weight.rows_per_group(shape))
        }
        Affine::Modulate { scale, shift } => {
            assert_eq!(scale.groups, shift.groups, "rows of scale and shift");
            shift.rows_per_group(shape);
            (2, Some(scale), Some(shift), scale.rows_per_group(shape))
        }
    };
    assert_eq!(y.float == Float::E4m3, row_scale.is_some(), "scales for rows of e4m3");
    assert!(row_scale.is_none_or(|scale| scale.bytes() >= 4 * x.rows as u64), "{} row scales", x.rows);
    if x.rows == 0 {
        return Ok(());
    }
    let pointer = |modulation: Option<Modulation>| modulation.map_or(Pointer(0), |rows| rows.data.pointer());
    let arguments = Arguments::new()
        .with(x.data.pointer())
        .with(x.stride as u64)
        .with(y.data.pointer())
        .with(y.stride as u64)
        .with(pointer(scale))
        .with(pointer(shift))
        .with(row_scale.map_or(Pointer(0), Slice::pointer))
        .with(x.rows as u32)
        .with(x.width as u32)
        .with(rows_per_group)
        .with(epsilon);
    let source = layer_norm_source(x.float, y.float, x.width, affine_kind);
    // SAFETY: the arguments are in the kernel's order; rows, strides and widths were checked against the slices.
    unsafe { machine.launch(&source, row_blocks(x.rows), &arguments) }
}

/// RMS norm and rotary embedding.
#[derive(Clone, Copy)]
pub struct RmsRope<'a> {
    /// `[L, C]`, C a multiple of 8 and at most 8192.
    pub x: Rows<'a>,
    /// `[L, C]`; may be `x`.
    pub y: Rows<'a>,
    /// `[C]` of f32.
    pub weight: Modulation<'a>,
    /// Added to the mean square.
    pub epsilon: f32,
    /// How heads are turned, if they are.
    pub rope: Option<Rope<'a>>,
}

/// Angles of heads.
#[derive(Clone, Copy)]
pub struct Rope<'a> {
    /// `[L, head / 2]` of f32.
    pub cosines: Slice<'a>,
    /// `[L, head / 2]` of f32.
    pub sines: Slice<'a>,
    /// Width of a head, a multiple of 8.
    pub head: usize,
}

/// `y = x / sqrt(mean(x^2) + epsilon) * weight` for each whole row, then each adjacent pair of each head turned:
/// `(a cos - b sin, a sin + b cos)`.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn rms_rope(machine: &dyn Machine, call: RmsRope) -> Result<()> {
    let RmsRope { x, y, weight, epsilon, rope } = call;
    assert!(weight.groups == 1, "one weight for all rows");
    weight.rows_per_group(x.shape());
    rows_through(machine, x, y, Some((weight, epsilon)), rope)
}

/// Each adjacent pair of each head turned: `(a cos - b sin, a sin + b cos)`. x and y: `[L, C]`; y may be x.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn rope(machine: &dyn Machine, x: Rows, y: Rows, rope: Rope) -> Result<()> {
    rows_through(machine, x, y, None, Some(rope))
}

fn rows_through(
    machine: &dyn Machine,
    x: Rows,
    y: Rows,
    norm: Option<(Modulation, f32)>,
    rope: Option<Rope>,
) -> Result<()> {
    check_rows(&x, &y);
    if let Some(Rope { cosines, sines, head }) = rope {
        assert!(head.is_multiple_of(8) && x.width.is_multiple_of(head), "heads of {head} in {}", x.width);
        let bytes = (x.rows * head / 2 * 4) as u64;
        assert!(cosines.bytes() >= bytes && sines.bytes() >= bytes, "angles for {} rows", x.rows);
    }
    if x.rows == 0 {
        return Ok(());
    }
    let arguments = Arguments::new()
        .with(x.data.pointer())
        .with(x.stride as u64)
        .with(y.data.pointer())
        .with(y.stride as u64)
        .with(norm.map_or(Pointer(0), |(weight, _)| weight.data.pointer()))
        .with(rope.map_or(Pointer(0), |rope| rope.cosines.pointer()))
        .with(rope.map_or(Pointer(0), |rope| rope.sines.pointer()))
        .with(x.rows as u32)
        .with(x.width as u32)
        .with(rope.map_or(8, |rope| rope.head as u32))
        .with(norm.map_or(0.0, |(_, epsilon)| epsilon));
    let source = rms_rope_source(x.float, y.float, x.width, [norm.is_some(), rope.is_some()]);
    // SAFETY: the arguments are in the kernel's order; rows, strides and widths were checked against the slices.
    unsafe { machine.launch(&source, row_blocks(x.rows), &arguments) }
}

fn check_rows(x: &Rows, y: &Rows) {
    assert_eq!(x.shape(), y.shape(), "x and y");
    assert!(x.width <= WIDTH_MAX, "rows of {}", x.width);
    x.check_eights("x");
    y.check_eights("y");
}

fn row_blocks(rows: usize) -> Shape {
    Shape::new(rows.div_ceil(ROWS) as u32, THREADS as u32)
}

fn layer_norm_source(x: Float, y: Float, width: usize, affine: u32) -> Source {
    Source::new("layer_norm", include_str!("layer_norm.cu"))
        .define("X", x)
        .define("Y", y)
        .define("VECTORS", width.div_ceil(8 * THREADS))
        .define("ROWS", ROWS)
        .define("AFFINE", affine)
        .define("QUANTISED", u32::from(y == Float::E4m3))
}

fn rms_rope_source(x: Float, y: Float, width: usize, [norm, rope]: [bool; 2]) -> Source {
    Source::new("rms_rope", include_str!("rms_rope.cu"))
        .define("X", x)
        .define("Y", y)
        .define("VECTORS", width.div_ceil(8 * THREADS))
        .define("ROWS", ROWS)
        .define("NORM", u32::from(norm))
        .define("ROPE", u32::from(rope))
}

pub(super) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for width in [1536, 5120] {
        for (x, y) in [(Float::Bf16, Float::Bf16), (Float::F32, Float::Bf16), (Float::F32, Float::E4m3)] {
            for affine in 0..3 {
                let source = layer_norm_source(x, y, width, affine);
                all.push(Variant { source, functions: &["layer_norm"], runs_on: everywhere });
            }
        }
        for parts in [[true, false], [true, true], [false, true]] {
            let source = rms_rope_source(Float::Bf16, Float::Bf16, width, parts);
            all.push(Variant { source, functions: &["rms_rope"], runs_on: everywhere });
        }
    }
    all
}
