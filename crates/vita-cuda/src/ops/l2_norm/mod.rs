//! The autoencoder's norm over the channels of each pixel.

use super::{Float, Function, Modulation, Rows, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Shape};
use crate::selftest::{Case, Pair, Random};

/// Threads of a block.
const THREADS: usize = 256;

/// `y = function(x / max(|x|, 1e-12) * sqrt(C) * gamma)` for each row. x, y: `[pixels, C]` without gaps, C a multiple
/// of 8 and at most 1024; gamma: `[C]` of f32; y may be x.
///
/// # Panics
/// If the shapes do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn l2_norm(machine: &dyn Machine, x: Rows, gamma: Modulation, function: Option<Function>, y: Rows) -> Result<()> {
    assert_eq!(x.shape(), y.shape(), "x and y");
    assert!(gamma.groups == 1 && x.width <= 1024, "{} rows of gamma, {} channels", gamma.groups, x.width);
    gamma.rows_per_group(x.shape());
    x.check_eights("x");
    y.check_eights("y");
    if x.element_count() == 0 {
        return Ok(());
    }
    assert_eq!(x.element_count(), y.element_count());
    let (lanes, _) = lanes_and_vectors(x.width);
    let most = machine.properties().processors as usize * 8;
    let shape = Shape::new(x.rows.div_ceil(THREADS / lanes).clamp(1, most) as u32, THREADS as u32);
    let arguments = Arguments::new()
        .with(x.data.pointer())
        .with(y.data.pointer())
        .with(gamma.data.pointer())
        .with(x.rows as u64)
        .with(x.width as u32);
    // SAFETY: the arguments are in the kernel's order; rows and widths were checked against the slices.
    unsafe { machine.launch(&source(x.float, y.float, x.width, function), shape, &arguments) }
}

/// Lanes that share a pixel, and vectors of eight channels for each.
fn lanes_and_vectors(channels: usize) -> (usize, usize) {
    let lanes = match channels {
        0..=64 => 8,
        65..=128 => 16,
        _ => 32,
    };
    (lanes, channels.div_ceil(8 * lanes))
}

fn source(x: Float, y: Float, channels: usize, function: Option<Function>) -> Source {
    let (lanes, vectors) = lanes_and_vectors(channels);
    Source::new("l2_norm", include_str!("kernel.cu"))
        .define("X", x)
        .define("Y", y)
        .define("LANES", lanes)
        .define("VECTORS", vectors)
        .define("FUNCTION", function.map_or("identity", Function::name))
}

pub(super) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for channels in [96, 192, 384, 1024] {
        for function in [None, Some(Function::Silu)] {
            let source = source(Float::F32, Float::F16, channels, function);
            all.push(Variant { source, functions: &["l2_norm"], runs_on: everywhere });
        }
    }
    all
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (pixels, channels) in [(1, 8), (77, 96), (1000, 192), (35, 384), (9, 1024)] {
        let silu = Some(Function::Silu);
        for (x, y, function) in
            [(Float::Bf16, Float::Bf16, silu), (Float::F32, Float::F32, None), (Float::F32, Float::F16, silu)]
        {
            all.push(case(pixels, channels, [x, y], function));
        }
    }
    all
}

fn case(pixels: usize, channels: usize, [float, y_float]: [Float; 2], function: Option<Function>) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new(channels as u64);
        // The fifth pixel is black.
        let values = (0..pixels * channels).map(|i| if i / channels == 4 { 0.0 } else { random.normal() }).collect();
        let (x, gamma) = (bench.numbers(values, float)?, bench.random(&mut random, Float::F32, channels)?);
        let output = bench.poisoned(y_float, pixels * channels)?;
        let weight = Modulation { data: gamma.buffer.slice(), groups: 1 };
        let y = Rows::new(output.slice(), y_float, pixels, channels);
        l2_norm(bench.machine(), x.rows(channels), weight, function, y)?;
        let mut want = Vec::new();
        for pixel in x.values.chunks(channels) {
            let size = pixel.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt().max(1e-12);
            want.extend(pixel.iter().zip(&gamma.values).map(|(&value, &gamma)| {
                let value = f64::from(value) / size * (channels as f64).sqrt() * f64::from(gamma);
                function.map_or(value, |function| function.reference(value))
            }));
        }
        Ok(vec![Pair { got: bench.read(&output, y_float)?, want }])
    };
    Case {
        op: "l2_norm",
        title: format!("{pixels}x{channels} {float}->{y_float} {}", function.map_or("", Function::name)),
        error_max: match y_float {
            Float::Bf16 => 3e-3,
            Float::F16 => 4e-4,
            _ => 1e-5,
        },
        runs_on: everywhere,
        run: Box::new(run),
    }
}
