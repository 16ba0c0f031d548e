//! Sums of two tensors, each times a factor: guidance, and the steps of solvers. Products of two: gated layers.

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
pub fn combine(machine: &dyn Machine, factors: [f32; 2], x: Rows, y: Rows, sum: Rows) -> Result<()> {
    join(machine, Some(factors), x, y, sum)
}

/// `product = x y`, element by element. x, y, product: `[L, C]` without gaps; the product may be x or y.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn multiply(machine: &dyn Machine, x: Rows, y: Rows, product: Rows) -> Result<()> {
    join(machine, None, x, y, product)
}

/// Without factors, the product.
fn join(machine: &dyn Machine, factors: Option<[f32; 2]>, x: Rows, y: Rows, sum: Rows) -> Result<()> {
    assert!(x.shape() == y.shape() && x.shape() == sum.shape(), "x, y and their sum");
    let count = x.element_count();
    assert!(y.element_count() == count && sum.element_count() == count, "no gaps");
    if count == 0 {
        return Ok(());
    }
    let [a, b] = factors.unwrap_or_default();
    let arguments = Arguments::new()
        .with(x.data.pointer())
        .with(y.data.pointer())
        .with(sum.data.pointer())
        .with(count as u64)
        .with(a)
        .with(b);
    let source = source([x.float, y.float, sum.float], factors.is_none());
    // SAFETY: the arguments are in the kernel's order; the counts were checked against the slices.
    unsafe { machine.launch(&source, element_blocks(machine, count), &arguments) }
}

fn source([x, y, z]: [Float; 3], product: bool) -> Source {
    Source::new("combine", include_str!("kernel.cu"))
        .define("X", x)
        .define("Y", y)
        .define("Z", z)
        .define("PRODUCT", u32::from(product))
}

pub(super) fn variants() -> Vec<Variant> {
    [
        ([Float::F32; 3], false),
        ([Float::Bf16; 3], false),
        ([Float::F32, Float::Bf16, Float::F32], false),
        ([Float::Bf16; 3], true),
    ]
    .map(|(floats, product)| Variant { source: source(floats, product), functions: &["combine"], runs_on: everywhere })
    .into()
}

pub(super) fn cases() -> Vec<Case> {
    let sums = [(1, [Float::F32; 3]), (3003, [Float::F32; 3]), (800, [Float::F32, Float::Bf16, Float::F32])];
    let products = [(5, [Float::F32; 3]), (2001, [Float::Bf16, Float::Bf16, Float::F32])];
    let sums = sums.into_iter().map(|(count, floats)| case(count, floats, Some([5.0, -4.0])));
    sums.chain(products.into_iter().map(|(count, floats)| case(count, floats, None))).collect()
}

fn case(count: usize, [x, y, z]: [Float; 3], factors: Option<[f32; 2]>) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new(count as u64);
        let (a, b) = (bench.random(&mut random, x, count)?, bench.random(&mut random, y, count)?);
        let output = bench.poisoned(z, count)?;
        let sum = Rows::new(output.slice(), z, 1, count);
        join(bench.machine(), factors, a.rows(count), b.rows(count), sum)?;
        let pairs = a.values.iter().zip(&b.values);
        let want = pairs.map(|(&x, &y)| match factors {
            Some([a, b]) => f64::from(a) * f64::from(x) + f64::from(b) * f64::from(y),
            None => f64::from(x) * f64::from(y),
        });
        let want = want.collect();
        Ok(vec![Pair { got: bench.read(&output, z)?, want }])
    };
    let title = format!("{count} {x}, {y} -> {z}{}", if factors.is_none() { " multiplied" } else { "" });
    Case { op: "combine", title, error_max: 1e-6, runs_on: everywhere, run: Box::new(run) }
}
