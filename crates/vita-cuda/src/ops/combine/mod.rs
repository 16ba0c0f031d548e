//! Sums of two tensors, each times a factor: guidance, and the steps of solvers.

use super::activation::element_blocks;
use super::{Float, Rows, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine};
use crate::selftest::{Case, Pair, Random};

/// `sum = a x + b y`. x, y, sum: `[L, C]` without gaps; the sum may be x or y.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn combine(machine: &dyn Machine, [a, b]: [f32; 2], x: Rows, y: Rows, sum: Rows) -> Result<()> {
    assert!(x.shape() == y.shape() && x.shape() == sum.shape(), "x, y and their sum");
    let count = x.element_count();
    assert!(y.element_count() == count && sum.element_count() == count, "no gaps");
    if count == 0 {
        return Ok(());
    }
    let arguments = Arguments::new()
        .with(x.data.pointer())
        .with(y.data.pointer())
        .with(sum.data.pointer())
        .with(count as u64)
        .with(a)
        .with(b);
    let source = source([x.float, y.float, sum.float]);
    // SAFETY: the arguments are in the kernel's order; the counts were checked against the slices.
    unsafe { machine.launch(&source, element_blocks(machine, count), &arguments) }
}

fn source([x, y, z]: [Float; 3]) -> Source {
    Source::new("combine", include_str!("kernel.cu")).define("X", x).define("Y", y).define("Z", z)
}

pub(super) fn variants() -> Vec<Variant> {
    [[Float::F32; 3], [Float::Bf16; 3], [Float::F32, Float::Bf16, Float::F32]]
        .map(|floats| Variant { source: source(floats), functions: &["combine"], runs_on: everywhere })
        .into()
}

pub(super) fn cases() -> Vec<Case> {
    [(1, [Float::F32; 3]), (3003, [Float::F32; 3]), (800, [Float::F32, Float::Bf16, Float::F32])]
        .map(|(count, floats)| case(count, floats))
        .into()
}

fn case(count: usize, [x, y, z]: [Float; 3]) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new(count as u64);
        let (a, b) = (bench.random(&mut random, x, count)?, bench.random(&mut random, y, count)?);
        let output = bench.poisoned(z, count)?;
        let sum = Rows::new(output.slice(), z, 1, count);
        combine(bench.machine(), [5.0, -4.0], a.rows(count), b.rows(count), sum)?;
        let pairs = a.values.iter().zip(&b.values);
        let want = pairs.map(|(&x, &y)| 5.0 * f64::from(x) - 4.0 * f64::from(y)).collect();
        Ok(vec![Pair { got: bench.read(&output, z)?, want }])
    };
    let title = format!("{count} {x}, {y} -> {z}");
    Case { op: "combine", title, error_max: 1e-6, runs_on: everywhere, run: Box::new(run) }
}
