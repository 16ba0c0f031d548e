//! Rows made wider with zeros: channels in the number that products and convolutions take.

use super::activation::element_blocks;
use super::{Float, Rows, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine};
use crate::selftest::{Case, Pair, Random};

/// `y = [x, 0, 0, ..]` for each row, as another type. x: `[L, C]`, y: `[L, C']` with C' at least C; no gaps.
///
/// # Panics
/// If the shapes do not fit, or y is e5m2.
///
/// # Errors
/// If the card does not answer.
pub fn pad(machine: &dyn Machine, x: Rows, y: Rows) -> Result<()> {
    assert!(x.rows == y.rows && x.width <= y.width, "{:?} in {:?}", x.shape(), y.shape());
    assert!(y.float != Float::E5m2, "e5m2 is only read");
    let count = y.element_count();
    assert_eq!(x.element_count(), x.rows * x.width);
    if count == 0 {
        return Ok(());
    }
    let arguments = Arguments::new()
        .with(x.data.pointer())
        .with(y.data.pointer())
        .with(count as u64)
        .with(x.width as u32)
        .with(y.width as u32);
    // SAFETY: the arguments are in the kernel's order; rows and widths were checked against the slices.
    unsafe { machine.launch(&source(x.float, y.float), element_blocks(machine, count), &arguments) }
}

fn source(x: Float, y: Float) -> Source {
    Source::new("pad", include_str!("kernel.cu")).define("X", x).define("Y", y)
}

const PAIRS: [(Float, Float); 2] = [(Float::F32, Float::Bf16), (Float::Bf16, Float::Bf16)];

pub(super) fn variants() -> Vec<Variant> {
    PAIRS.map(|(x, y)| Variant { source: source(x, y), functions: &["pad"], runs_on: everywhere }).into()
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (rows, width, wide) in [(1, 1, 8), (1000, 3, 8), (77, 20, 24), (5, 16, 16)] {
        all.extend(PAIRS.map(|(x, y)| case(rows, [width, wide], x, y)));
    }
    all
}

fn case(rows: usize, [width, wide]: [usize; 2], x: Float, y: Float) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let input = bench.random(&mut Random::new(rows as u64), x, rows * width)?;
        let output = bench.poisoned(y, rows * wide)?;
        pad(bench.machine(), input.rows(width), Rows::new(output.slice(), y, rows, wide))?;
        let mut want = Vec::new();
        for row in input.values.chunks(width) {
            want.extend(row.iter().map(|&value| super::cast::rounded(y, value)));
            want.resize(want.len() + wide - width, 0.0);
        }
        Ok(vec![Pair { got: bench.read(&output, y)?, want }])
    };
    let title = format!("{rows}x{width} to {wide}, {x}->{y}");
    Case { op: "pad", title, error_max: 0.0, runs_on: everywhere, run: Box::new(run) }
}
