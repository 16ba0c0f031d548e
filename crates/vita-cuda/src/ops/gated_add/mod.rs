//! What a block adds to the stream: `x + y * gate`.

use super::{Float, Modulation, Rows, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Pointer, Shape};
use crate::selftest::{Case, Pair, Random};

/// Threads of a block, a vector of eight columns each.
const THREADS: usize = 128;

/// Rows of a block.
const ROWS: usize = 32;

/// A gated sum.
#[derive(Clone, Copy)]
pub struct GatedAdd<'a> {
    /// `[L, C]` without gaps, C a multiple of 8.
    pub x: Rows<'a>,
    /// `[L, C]`
    pub y: Rows<'a>,
    /// `[T, C]`; none is a plain sum.
    pub gate: Option<Modulation<'a>>,
    /// `[L, C]` without gaps; may be `x`.
    pub sum: Rows<'a>,
}

/// `x + y * gate`, where row `t` of the gate serves the `t`-th equal share of the rows.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn gated_add(machine: &dyn Machine, call: GatedAdd) -> Result<()> {
    let GatedAdd { x, y, gate, sum } = call;
    assert!(x.shape() == y.shape() && x.shape() == sum.shape(), "operands");
    assert_eq!(x.element_count(), sum.element_count());
    for (name, rows) in [("x", &x), ("y", &y), ("sum", &sum)] {
        rows.check_eights(name);
    }
    let rows_per_group = gate.map_or(1, |gate| gate.rows_per_group(x.shape()));
    if x.element_count() == 0 {
        return Ok(());
    }
    let arguments = Arguments::new()
        .with(x.data.pointer())
        .with(y.data.pointer())
        .with(gate.map_or(Pointer(0), |gate| gate.data.pointer()))
        .with(sum.data.pointer())
        .with(y.stride as u64)
        .with(x.rows as u32)
        .with(x.width as u32)
        .with(rows_per_group);
    let source = source([x.float, y.float, sum.float], gate.is_some());
    let columns = x.width.div_ceil(8 * THREADS) as u32;
    let shape = Shape { grid: [columns, x.rows.div_ceil(ROWS) as u32, 1], threads: THREADS as u32, shared_bytes: 0 };
    // SAFETY: the arguments are in the kernel's order; rows, strides and widths were checked against the slices.
    unsafe { machine.launch(&source, shape, &arguments) }
}

fn source([x, y, z]: [Float; 3], gated: bool) -> Source {
    Source::new("gated_add", include_str!("kernel.cu"))
        .define("X", x)
        .define("Y", y)
        .define("Z", z)
        .define("GATED", u32::from(gated))
        .define("ROWS", ROWS)
}

pub(super) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for x in [Float::Bf16, Float::F32] {
        for gated in [false, true] {
            let source = source([x, Float::Bf16, x], gated);
            all.push(Variant { source, functions: &["gated_add"], runs_on: everywhere });
        }
    }
    all
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (rows, width, groups) in [(1, 8, 1), (33, 1536, 3), (70, 2056, 1), (5, 5120, 5)] {
        for (x, y) in [(Float::Bf16, Float::Bf16), (Float::F32, Float::Bf16), (Float::F16, Float::F16)] {
            for gated in [false, true] {
                all.push(case(rows, width, groups, x, y, gated));
            }
        }
    }
    all
}

fn case(rows: usize, width: usize, groups: usize, x: Float, y: Float, gated: bool) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new((rows + width) as u64);
        let (a, b) = (bench.random(&mut random, x, rows * width)?, bench.random(&mut random, y, rows * width)?);
        let gate = bench.random(&mut random, Float::F32, groups * width)?;
        let modulation = Modulation { data: gate.buffer.slice(), groups };
        // In place, as a block does it.
        let gate_given = gated.then_some(modulation);
        gated_add(
            bench.machine(),
            GatedAdd { x: a.rows(width), y: b.rows(width), gate: gate_given, sum: a.rows(width) },
        )?;
        let want = (0..rows * width).map(|i| {
            let factor = f64::from(gate.values[i / width / (rows / groups) * width + i % width]);
            f64::from(a.values[i]) + f64::from(b.values[i]) * if gated { factor } else { 1.0 }
        });
        Ok(vec![Pair { got: bench.read(&a.buffer, x)?, want: want.collect() }])
    };
    Case {
        op: "gated_add",
        title: format!("{rows}x{width} {x}+{y}{}, {groups} groups", if gated { " gated" } else { "" }),
        error_max: if x == Float::Bf16 { 3e-3 } else { 4e-4 },
        runs_on: everywhere,
        run: Box::new(run),
    }
}
