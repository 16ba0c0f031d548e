//! Activations, where they are not part of a product's end.

use super::{Float, Rows, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Shape};
use crate::selftest::{Case, Pair, Random};

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `x / (1 + e^-x)`
    Silu,
    /// `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`
    GeluTanh,
    /// `0.5 x (1 + erf(x / sqrt(2)))`
    GeluErf,
}

impl Function {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::GeluTanh => "gelu_tanh",
            Self::GeluErf => "gelu_erf",
        }
    }

    /// In f64.
    pub(crate) fn reference(self, x: f64) -> f64 {
        match self {
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::GeluTanh => {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
            }
            Self::GeluErf => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
        }
    }
}

/// `y = function(x)` for every element. x, y: `[L, C]` without gaps, `L * C` a multiple of 8; y may be x.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn activation(machine: &dyn Machine, function: Function, x: Rows, y: Rows) -> Result<()> {
    assert_eq!(x.shape(), y.shape(), "x and y");
    let count = x.element_count();
    assert!(count == y.element_count() && count.is_multiple_of(8), "{count} elements");
    if count == 0 {
        return Ok(());
    }
    let arguments = Arguments::new().with(x.data.pointer()).with(y.data.pointer()).with(count as u64);
    let source = source(function, x.float, y.float);
    // SAFETY: the arguments are in the kernel's order; the counts were checked against the slices.
    unsafe { machine.launch(&source, element_blocks(machine, count), &arguments) }
}

/// Blocks of 256 threads with eight elements each, as many as keep the card full.
pub(super) fn element_blocks(machine: &dyn Machine, count: usize) -> Shape {
    let most = machine.properties().processors as usize * 16;
    Shape::new(count.div_ceil(8 * 256).clamp(1, most) as u32, 256)
}

fn source(function: Function, x: Float, y: Float) -> Source {
    Source::new("activation", include_str!("kernel.cu"))
        .define("X", x)
        .define("Y", y)
        .define("FUNCTION", function.name())
}

pub(super) fn variants() -> Vec<Variant> {
    [Function::Silu, Function::GeluTanh, Function::GeluErf]
        .into_iter()
        .map(|function| {
            let source = source(function, Float::Bf16, Float::Bf16);
            Variant { source, functions: &["activation"], runs_on: everywhere }
        })
        .collect()
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for function in [Function::Silu, Function::GeluTanh, Function::GeluErf] {
        for (x, y) in [(Float::Bf16, Float::Bf16), (Float::F32, Float::F32)] {
            for count in [8, 2048, 40_008] {
                all.push(case(function, x, y, count));
            }
        }
    }
    all
}

fn case(function: Function, x: Float, y: Float, count: usize) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new(count as u64);
        // Far out as well, where an exponential overflows.
        let input = (0..count).map(|i| random.normal() * if i % 10 == 0 { 60.0 } else { 2.0 }).collect();
        let input = bench.numbers(input, x)?;
        let output = bench.poisoned(y, count)?;
        activation(bench.machine(), function, input.rows(count), Rows::new(output.slice(), y, 1, count))?;
        let want = input.values.iter().map(|&value| function.reference(f64::from(value))).collect();
        Ok(vec![Pair { got: bench.read(&output, y)?, want }])
    };
    Case {
        op: "activation",
        title: format!("{} {count} {x}->{y}", function.name()),
        error_max: if y == Float::Bf16 { 3e-3 } else { 1e-5 },
        runs_on: everywhere,
        run: Box::new(run),
    }
}

/// By its series near zero and its continued fraction elsewhere.
fn erf(x: f64) -> f64 {
    let size = x.abs();
    let value = if size < 2.5 {
        let (mut term, mut sum) = (size, size);
        for n in 1..80 {
            term *= -size * size / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    } else {
        let tail = (1..=60).rev().fold(size, |tail, n| size + f64::from(n) / 2.0 / tail);
        1.0 - (-size * size).exp() / (tail * std::f64::consts::PI.sqrt())
    };
    value.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_knows_erf() {
        // From tables.
        for (x, want) in [(0.0, 0.0), (0.5, 0.520_499_877_8), (-1.0, -0.842_700_792_9), (3.0, 0.999_977_909_5)] {
            assert!((erf(x) - want).abs() < 1e-10, "{x}: {}", erf(x));
        }
        assert!((erf(2.4999) - erf(2.5001)).abs() < 1e-6);
    }
}
