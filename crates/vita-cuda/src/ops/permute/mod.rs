//! Views made contiguous: transposes, patches, pixels shuffled, parts of wider rows.

use super::activation::element_blocks;
use super::{Float, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine};
use crate::memory::Slice;
use crate::selftest::{Case, Pair, Random};

/// Most axes of a view.
pub const AXES_MAX: usize = 5;

/// A view of elements: sizes and strides, outermost first.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What it is a view of.
    pub data: Slice<'a>,
    /// What the elements are.
    pub float: Float,
    /// Entries of each axis; at most five axes.
    pub sizes: &'a [usize],
    /// Elements from one entry to the next.
    pub strides: &'a [usize],
}

/// Writes a view's elements side by side, as another type. y: as many elements, not overlapping x.
///
/// # Panics
/// If the view reaches beyond its data, y is too short, or y is e5m2.
///
/// # Errors
/// If the card does not answer.
pub fn permute(machine: &dyn Machine, x: View, y: Slice, y_float: Float) -> Result<()> {
    let View { data, float, sizes, strides } = x;
    assert!(sizes.len() == strides.len() && sizes.len() <= AXES_MAX, "a view of {sizes:?} by {strides:?}");
    assert!(y_float != Float::E5m2, "e5m2 is only read");
    let count: usize = sizes.iter().product();
    assert!(y.bytes() >= count as u64 * y_float.bytes(), "room for {count} {y_float}");
    if count == 0 {
        return Ok(());
    }
    let last: usize = sizes.iter().zip(strides).map(|(size, stride)| (size - 1) * stride).sum();
    assert!(data.bytes() >= (last as u64 + 1) * float.bytes(), "element {last} of a view of {sizes:?}");
    let (sizes, strides) = padded(sizes, strides);
    let in_eights = |value: usize| value.is_multiple_of(8);
    let aligned = |slice: Slice, float: Float| slice.pointer().0.is_multiple_of((8 * float.bytes()).min(16));
    let eights = strides[4] == 1
        && in_eights(sizes[4])
        && (0..4).all(|axis| sizes[axis] == 1 || in_eights(strides[axis]))
        && aligned(data, float)
        && aligned(y, y_float);
    let mut arguments = Arguments::new().with(data.pointer()).with(y.pointer()).with(count as u64);
    for size in &sizes[1..] {
        arguments = arguments.with(*size as u32);
    }
    for stride in strides {
        arguments = arguments.with(stride as u64);
    }
    // SAFETY: the arguments are in the kernel's order; the view's last element and y's size were checked.
    unsafe { machine.launch(&source(float, y_float, eights), element_blocks(machine, count), &arguments) }
}

/// With axes of one entry before, to five.
fn padded(sizes: &[usize], strides: &[usize]) -> ([usize; AXES_MAX], [usize; AXES_MAX]) {
    let (mut all_sizes, mut all_strides) = ([1; AXES_MAX], [0; AXES_MAX]);
    all_sizes[AXES_MAX - sizes.len()..].copy_from_slice(sizes);
    all_strides[AXES_MAX - strides.len()..].copy_from_slice(strides);
    (all_sizes, all_strides)
}

fn source(x: Float, y: Float, eights: bool) -> Source {
    Source::new("permute", include_str!("kernel.cu")).define("X", x).define("Y", y).define("EIGHTS", u32::from(eights))
}

pub(super) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for (x, y) in [
        (Float::Bf16, Float::Bf16),
        (Float::F32, Float::Bf16),
        (Float::Bf16, Float::F32),
        (Float::F32, Float::F32),
        (Float::F16, Float::F16),
    ] {
        for eights in [false, true] {
            all.push(Variant { source: source(x, y, eights), functions: &["permute"], runs_on: everywhere });
        }
    }
    all
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (sizes, strides) in [
        (&[1][..], &[1][..]),
        (&[33, 47], &[1, 33]),
        // Patches of 1 x 2 x 2 of a latent [16, 2, 6, 8] as rows.
        (&[6, 4, 16, 2, 2], &[16, 2, 96, 8, 1]),
        // The middle third of wider rows, in eights.
        (&[19, 64], &[192, 1]),
        (&[3, 5, 24], &[24, 72, 1]),
        (&[7, 12], &[13, 1]),
    ] {
        for (x, y) in [(Float::Bf16, Float::Bf16), (Float::F32, Float::Bf16)] {
            all.push(case(sizes, strides, x, y));
        }
    }
    all
}

fn case(sizes: &'static [usize], strides: &'static [usize], x: Float, y: Float) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let last: usize = sizes.iter().zip(strides).map(|(size, stride)| (size - 1) * stride).sum();
        let count = sizes.iter().product();
        let input = bench.random(&mut Random::new(count as u64), x, last + 1)?;
        let output = bench.poisoned(y, count)?;
        permute(bench.machine(), View { data: input.buffer.slice(), float: x, sizes, strides }, output.slice(), y)?;
        let element = |mut number: usize| {
            let mut at = 0;
            for (size, stride) in sizes.iter().zip(strides).rev() {
                at += number % size * stride;
                number /= size;
            }
            super::cast::rounded(y, input.values[at])
        };
        Ok(vec![Pair { got: bench.read(&output, y)?, want: (0..count).map(element).collect() }])
    };
    let title = format!("{sizes:?} by {strides:?} {x}->{y}");
    Case { op: "permute", title, error_max: 0.0, runs_on: everywhere, run: Box::new(run) }
}
