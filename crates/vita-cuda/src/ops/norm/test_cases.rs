//! The definitions in f64, and the cases that hold the kernels to them.

use super::{Affine, LayerNorm, RmsRope, Rope, layer_norm, rms_rope};
use crate::ops::{Float, Modulation, Rows, everywhere};
use crate::selftest::{Case, Pair, Random};

pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let types =
        [(Float::Bf16, Float::Bf16), (Float::F32, Float::Bf16), (Float::F16, Float::F16), (Float::F32, Float::E4m3)];
    for (rows, width, groups) in [(1, 8, 1), (17, 1000, 17)] {
        for (x, y) in types {
            all.extend((0..3).map(|affine| layer_norm_case(rows, width, groups, x, y, affine)));
        }
    }
    // The widths of the models.
    for (rows, width, groups) in [(3, 1536, 1), (21, 3072, 3), (9, 5120, 9)] {
        for (x, y) in [types[0], types[3]] {
            all.push(layer_norm_case(rows, width, groups, x, y, 2));
        }
    }
    for (rows, heads, head) in [(1, 1, 8), (5, 12, 128), (19, 40, 128)] {
        for (x, y) in [(Float::Bf16, Float::Bf16), (Float::F32, Float::F16)] {
            for rope in [false, true] {
                all.push(rms_rope_case(rows, heads, head, x, y, rope));
            }
        }
    }
    all
}

/// What rounding to a type may cost.
fn error_max(y: Float) -> f64 {
    match y {
        Float::E4m3 => 0.04,
        Float::Bf16 => 3e-3,
        _ => 5e-4,
    }
}

fn layer_norm_case(rows: usize, width: usize, groups: usize, x: Float, y: Float, affine: u32) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new((rows * width + affine as usize) as u64);
        // Far from zero mean, where a careless variance loses its digits.
        let input = (0..rows * width).map(|_| 3.0 + random.normal()).collect();
        let input = bench.numbers(input, x)?;
        let groups = if affine == 1 { 1 } else { groups };
        let scale = bench.random(&mut random, Float::F32, groups * width)?;
        let shift = bench.random(&mut random, Float::F32, groups * width)?;
        let output = bench.poisoned(y, rows * width)?;
        let row_scale = bench.poisoned(Float::F32, rows)?;
        let [a, b] = [&scale, &shift].map(|numbers| Modulation { data: numbers.buffer.slice(), groups });
        layer_norm(
            bench.machine(),
            LayerNorm {
                x: input.rows(width),
                y: Rows::new(output.slice(), y, rows, width),
                affine: match affine {
                    0 => Affine::None,
                    1 => Affine::Weight { weight: a, bias: b },
                    _ => Affine::Modulate { scale: a, shift: b },
                },
                row_scale: (y == Float::E4m3).then(|| row_scale.slice()),
                epsilon: 1e-6,
            },
        )?;
        let mut got = bench.read(&output, y)?;
        if y == Float::E4m3 {
            let scales = bench.read(&row_scale, Float::F32)?;
            got.chunks_mut(width).zip(scales).for_each(|(row, scale)| row.iter_mut().for_each(|value| *value *= scale));
        }
        let mut want = Vec::new();
        for (row, values) in input.values.chunks(width).enumerate() {
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / width as f64;
            let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / width as f64;
            let at = row / (rows / groups) * width;
            for (column, &value) in values.iter().enumerate() {
                let value = (f64::from(value) - mean) / (variance + 1e-6).sqrt();
                let (a, b) = (f64::from(scale.values[at + column]), f64::from(shift.values[at + column]));
                want.push(match affine {
                    0 => value,
                    1 => value * a + b,
                    _ => value * (1.0 + a) + b,
                });
            }
        }
        Ok(vec![Pair { got, want }])
    };
    let kind = ["plain", "affine", "modulated"][affine as usize];
    Case {
        op: "layer_norm",
        title: format!("{rows}x{width} {x}->{y} {kind}, {groups} groups"),
        error_max: error_max(y),
        runs_on: everywhere,
        run: Box::new(run),
    }
}

fn rms_rope_case(rows: usize, heads: usize, head: usize, x: Float, y: Float, rope: bool) -> Case {
    let width = heads * head;
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new((rows * width) as u64);
        // Part of wider rows, as queries are of a joint projection.
        let stride = width + 16;
        let input = bench.random(&mut random, x, rows * stride)?;
        let weight = bench.random(&mut random, Float::F32, width)?;
        let angles: Vec<f32> = (0..rows * head / 2).map(|_| 6.0 * random.uniform()).collect();
        let cosines = bench.numbers(angles.iter().map(|angle| angle.cos()).collect(), Float::F32)?;
        let sines = bench.numbers(angles.iter().map(|angle| angle.sin()).collect(), Float::F32)?;
        let output = bench.poisoned(y, rows * width)?;
        rms_rope(
            bench.machine(),
            RmsRope {
                x: Rows::strided(input.buffer.slice(), x, rows, width, stride),
                y: Rows::new(output.slice(), y, rows, width),
                weight: Modulation { data: weight.buffer.slice(), groups: 1 },
                epsilon: 1e-6,
                rope: rope.then(|| Rope { cosines: cosines.buffer.slice(), sines: sines.buffer.slice(), head }),
            },
        )?;
        let mut want = Vec::new();
        for (row, values) in input.values.chunks(stride).enumerate() {
            let values: Vec<f64> = values[..width].iter().map(|&value| f64::from(value)).collect();
            let mean_square = values.iter().map(|value| value * value).sum::<f64>() / width as f64;
            let factor = 1.0 / (mean_square + 1e-6).sqrt();
            let normed: Vec<f64> =
                values.iter().zip(&weight.values).map(|(value, &w)| value * factor * f64::from(w)).collect();
            for (i, pair) in normed.chunks(2).enumerate() {
                let at = row * head / 2 + i % (head / 2);
                let (c, s) = match rope {
                    true => (f64::from(cosines.values[at]), f64::from(sines.values[at])),
                    false => (1.0, 0.0),
                };
                want.extend([pair[0] * c - pair[1] * s, pair[0] * s + pair[1] * c]);
            }
        }
        Ok(vec![Pair { got: bench.read(&output, y)?, want }])
    };
    Case {
        op: "rms_rope",
        title: format!("{rows}x{heads}x{head} {x}->{y}{}", if rope { " turned" } else { "" }),
        error_max: error_max(y),
        runs_on: everywhere,
        run: Box::new(run),
    }
}
