//! Softmax of rows: for attention that has a bias, or heads of another width than the video's.

use super::{Float, Modulation, Rows, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Pointer, Shape};
use crate::selftest::{Case, Pair, Random};

/// `y = softmax(x * scale + bias)` over each row. x, y: `[L, C]`, C a multiple of 8; bias: `[L, C]`, or one row for
/// all; y may be x.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn softmax(machine: &dyn Machine, x: Rows, scale: f32, bias: Option<Modulation>, y: Rows) -> Result<()> {
    assert_eq!(x.shape(), y.shape(), "x and y");
    x.check_eights("x");
    y.check_eights("y");
    if x.rows == 0 || x.width == 0 {
        return Ok(());
    }
    if let Some(bias) = bias {
        assert!(bias.groups == 1 || bias.groups == x.rows, "{} rows of bias for {}", bias.groups, x.rows);
        bias.rows_per_group(x.shape());
    }
    let bias_stride = if bias.is_some_and(|bias| bias.groups == x.rows) { x.width } else { 0 };
    let arguments = Arguments::new()
        .with(x.data.pointer())
        .with(x.stride as u64)
        .with(bias.map_or(Pointer(0), |bias| bias.data.pointer()))
        .with(bias_stride as u64)
        .with(y.data.pointer())
        .with(y.stride as u64)
        .with(x.width as u32)
        .with(scale);
    let source = source(x.float, y.float, bias.is_some());
    // SAFETY: the arguments are in the kernel's order; rows, strides and widths were checked against the slices.
    unsafe { machine.launch(&source, Shape::new(x.rows as u32, 128), &arguments) }
}

fn source(x: Float, y: Float, biased: bool) -> Source {
    Source::new("softmax", include_str!("kernel.cu")).define("X", x).define("Y", y).define("BIASED", u32::from(biased))
}

pub(super) fn variants() -> Vec<Variant> {
    [
        (Float::F32, Float::Bf16, false),
        (Float::F32, Float::Bf16, true),
        (Float::F32, Float::F16, false),
        (Float::F32, Float::F16, true),
    ]
    .map(|(x, y, biased)| Variant { source: source(x, y, biased), functions: &["softmax"], runs_on: everywhere })
    .into()
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (rows, width) in [(1, 8), (5, 512), (3, 6248)] {
        for (x, y) in [(Float::F32, Float::F32), (Float::Bf16, Float::Bf16)] {
            all.extend([0, 1, rows].map(|biases| case(rows, width, x, y, biases)));
        }
    }
    all
}

fn case(rows: usize, width: usize, x: Float, y: Float, biases: usize) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new((rows * width) as u64);
        // So large that an exponential without the maximum overflows.
        let input = (0..rows * width).map(|_| 300.0 + 4.0 * random.normal()).collect();
        let input = bench.numbers(input, x)?;
        let bias = bench.random(&mut random, Float::F32, biases.max(1) * width)?;
        let output = bench.poisoned(y, rows * width)?;
        let scale = 0.7;
        let given = (biases > 0).then(|| Modulation { data: bias.buffer.slice(), groups: biases });
        softmax(bench.machine(), input.rows(width), scale, given, Rows::new(output.slice(), y, rows, width))?;
        let mut want = Vec::new();
        for (row, more) in input.values.chunks(width).zip(bias.values.chunks(width).cycle()) {
            let score = |(&x, &more): (&f32, &f32)| {
                f64::from(x) * f64::from(scale) + if biases > 0 { f64::from(more) } else { 0.0 }
            };
            let scores: Vec<f64> = row.iter().zip(more).map(score).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|score| (score - most).exp()).sum();
            want.extend(scores.iter().map(|score| (score - most).exp() / sum));
        }
        Ok(vec![Pair { got: bench.read(&output, y)?, want }])
    };
    Case {
        op: "softmax",
        title: format!("{rows}x{width} {x}->{y}, {biases} rows of bias"),
        // A score of 300 has four digits behind the point in f32.
        error_max: if y == Float::Bf16 { 3e-3 } else { 1e-4 },
        runs_on: everywhere,
        run: Box::new(run),
    }
}
