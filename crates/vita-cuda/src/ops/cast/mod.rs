//! Another type for every element.

use super::activation::element_blocks;
use super::{Float, Rows, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Shape};
use crate::selftest::{Case, Pair, Random};

/// `y = x * factor`, rounded to y's type. x, y: `[L, C]` without gaps.
///
/// # Panics
/// If the shapes do not fit, or y is e5m2.
///
/// # Errors
/// If the card does not answer.
pub fn cast(machine: &dyn Machine, x: Rows, y: Rows, factor: f32) -> Result<()> {
    assert_eq!(x.shape(), y.shape(), "x and y");
    assert!(y.float != Float::E5m2, "e5m2 is only read");
    let count = x.element_count();
    assert_eq!(count, y.element_count());
    if count == 0 {
        return Ok(());
    }
    let arguments = Arguments::new().with(x.data.pointer()).with(y.data.pointer()).with(count as u64).with(factor);
    let shape: Shape = element_blocks(machine, count);
    // SAFETY: the arguments are in the kernel's order; the counts were checked against the slices.
    unsafe { machine.launch(&source(x.float, y.float), shape, &arguments) }
}

fn source(x: Float, y: Float) -> Source {
    Source::new("cast", include_str!("kernel.cu")).define("X", x).define("Y", y)
}

const PAIRS: [(Float, Float); 7] = [
    (Float::F32, Float::Bf16),
    (Float::Bf16, Float::F32),
    (Float::F16, Float::Bf16),
    (Float::F32, Float::F16),
    (Float::E4m3, Float::Bf16),
    (Float::E5m2, Float::F32),
    (Float::F32, Float::E4m3),
];

pub(super) fn variants() -> Vec<Variant> {
    PAIRS
        .into_iter()
        .map(|(x, y)| Variant { source: source(x, y), functions: &["cast"], runs_on: everywhere })
        .collect()
}

pub(super) fn cases() -> Vec<Case> {
    PAIRS
        .into_iter()
        .flat_map(|(x, y)| [1, 8, 5003].map(|count| case(x, y, count)))
        .chain([every_small_code()])
        .collect()
}

fn case(x: Float, y: Float, count: usize) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let input = bench.random(&mut Random::new(count as u64), x, count)?;
        let output = bench.poisoned(y, count)?;
        cast(bench.machine(), input.rows(count), Rows::new(output.slice(), y, 1, count), 2.0)?;
        let want = input.values.iter().map(|&value| rounded(y, value * 2.0)).collect();
        Ok(vec![Pair { got: bench.read(&output, y)?, want }])
    };
    // Rounding is one and the same everywhere.
    Case { op: "cast", title: format!("{count} {x}->{y}"), error_max: 0.0, runs_on: everywhere, run: Box::new(run) }
}

/// Every e4m3 code there and back, NaN and subnormal ones as well.
fn every_small_code() -> Case {
    let run = |bench: &crate::selftest::Bench| {
        let codes: Vec<f32> = (0..=255u8).map(|code| Float::E4m3.decode(&[code])).collect();
        let input = bench.numbers(codes.clone(), Float::E4m3)?;
        let (wide, back) = (bench.poisoned(Float::F32, 256)?, bench.poisoned(Float::E4m3, 256)?);
        let wide_rows = Rows::new(wide.slice(), Float::F32, 1, 256);
        cast(bench.machine(), input.rows(256), wide_rows, 1.0)?;
        cast(bench.machine(), wide_rows, Rows::new(back.slice(), Float::E4m3, 1, 256), 1.0)?;
        let want: Vec<f64> = codes.into_iter().map(f64::from).collect();
        let wide = Pair { got: bench.read(&wide, Float::F32)?, want: want.clone() };
        Ok(vec![wide, Pair { got: bench.read(&back, Float::E4m3)?, want }])
    };
    let title = "every e4m3 code".into();
    Case { op: "cast", title, error_max: 0.0, runs_on: everywhere, run: Box::new(run) }
}

/// A value as a type holds it.
pub(super) fn rounded(float: Float, value: f32) -> f64 {
    let mut bytes = Vec::new();
    float.encode(value, &mut bytes);
    f64::from(float.decode(&bytes))
}
