//! What attention is held to in each mode.

use super::modes::{Mode, attention_in};
use super::{Attention, HEAD};
use crate::arch::Arch;
use crate::ops::{Float, Rows, everywhere};
use crate::selftest::{Bench, Case, Pair, Random};

/// What goes in.
#[derive(Clone, Copy, Debug)]
enum Inputs {
    /// Normal numbers; scores of some size, so that the softmax is not flat, and some far larger than those before.
    Plain,
    /// Keys that have much in common, and values that have something in common, as in trained models.
    Common,
    /// Plain, and a NaN in one key or value of each head.
    NanKey,
    NanValue,
}

pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for mode in Mode::ALL {
        let mut add = |inputs, sizes, float| all.push(case(mode, inputs, sizes, float));
        for sizes in [[1, 1, 1], [130, 64, 2], [64, 200, 1], [200, 515, 1]] {
            add(Inputs::Plain, sizes, Float::Bf16);
            // The 8-bit kernels differ in how they pack alone.
            if mode == Mode::Bf16 || sizes == [64, 200, 1] {
                add(Inputs::Plain, sizes, Float::F16);
            }
        }
        if mode != Mode::Bf16 {
            add(Inputs::Common, [40, 640, 1], Float::Bf16);
            add(Inputs::Common, [33, 129, 2], Float::Bf16);
            add(Inputs::NanKey, [20, 70, 2], Float::Bf16);
            add(Inputs::NanValue, [20, 70, 2], Float::Bf16);
        }
    }
    all
}

fn case(mode: Mode, inputs: Inputs, sizes: [usize; 3], float: Float) -> Case {
    let [queries, keys, heads] = sizes;
    let width = heads * HEAD;
    let run = move |bench: &Bench| {
        let [q, k, v] = inputs.numbers(sizes);
        // A key and its value side by side, as one product makes them.
        let pairs = k.chunks(width).zip(v.chunks(width)).flat_map(|(k, v)| [k, v].concat()).collect();
        let (q, kv) = (bench.numbers(q, float)?, bench.numbers(pairs, float)?);
        let half = |index: usize| {
            let start = (index * width) as u64 * float.bytes();
            let data = kv.buffer.slice().part(start, kv.buffer.slice().bytes() - start);
            Rows::strided(data, float, keys, width, 2 * width)
        };
        let values = |index| kv.values.chunks(width).skip(index).step_by(2).flatten().copied().collect::<Vec<f32>>();
        let y = bench.poisoned(float, queries * width)?;
        let scale = 1.0 / (HEAD as f32).sqrt();
        let rows = Rows::new(y.slice(), float, queries, width);
        let call = Attention { q: q.rows(width), k: half(0), v: half(1), y: rows, scale };
        let chosen = attention_in(bench.pool, mode, call)?;
        assert_eq!(chosen, mode, "a case runs where its mode does");
        let want = reference(&q.values, &values(0), &values(1), width, scale);
        Ok(vec![Pair { got: bench.read(&y, float)?, want }])
    };
    Case {
        op: match mode {
            Mode::Bf16 => "attention",
            Mode::Int8 => "attention_int8",
            Mode::Int8All => "attention_int8_all",
            Mode::Fp8 => "attention_fp8",
        },
        title: format!("{queries} queries, {keys} keys, {heads} heads, {inputs:?}, {float}"),
        error_max: error_max(mode, float),
        runs_on: if mode == Mode::Fp8 { Arch::has_fp8 } else { everywhere },
        run: Box::new(run),
    }
}

/// Rounding to e4m3 moves a number by a fortieth on average. What it does to weights and to values that have nothing in
/// common does not even out more than their sum itself does.
fn error_max(mode: Mode, float: Float) -> f64 {
    match (mode, float) {
        (Mode::Bf16, Float::F16) => 1e-3,
        (Mode::Bf16, _) => 5e-3,
        (Mode::Fp8, _) => 4e-2,
        (Mode::Int8 | Mode::Int8All, _) => 3e-2,
    }
}

impl Inputs {
    /// q, k and v.
    fn numbers(self, [queries, keys, heads]: [usize; 3]) -> [Vec<f32>; 3] {
        let width = heads * HEAD;
        let mut random = Random::new((queries * 1000 + keys) as u64);
        let q = (0..queries * width).map(|_| 2.0 * random.normal()).collect();
        let size = |row: usize| if row % 37 == 36 { 3.0 } else { 1.0 };
        let mut k: Vec<f32> = (0..keys * width).map(|i| random.normal() * size(i / width)).collect();
        let mut v: Vec<f32> = (0..keys * width).map(|_| random.normal()).collect();
        match self {
            Self::Plain => {}
            Self::Common => {
                let mut add = |x: &mut [f32], size: f32| {
                    let common: Vec<f32> = (0..width).map(|_| size * random.normal()).collect();
                    x.iter_mut().zip(common.iter().cycle()).for_each(|(x, common)| *x += common);
                };
                add(&mut k, 4.0);
                add(&mut v, 0.5);
            }
            Self::NanKey => {
                k.iter_mut().skip(keys / 2 * width + 5).step_by(HEAD).take(heads).for_each(|x| *x = f32::NAN)
            }
            Self::NanValue => {
                v.iter_mut().skip(keys / 2 * width + 5).step_by(HEAD).take(heads).for_each(|x| *x = f32::NAN)
            }
        }
        [q, k, v]
    }
}

/// The definition, row by row in f64.
pub fn reference(q: &[f32], k: &[f32], v: &[f32], width: usize, scale: f32) -> Vec<f64> {
    let mut y = Vec::new();
    for query in q.chunks(width) {
        for head in (0..width).step_by(HEAD) {
            let dot = |key: &[f32]| -> f64 {
                let pairs = query[head..head + HEAD].iter().zip(&key[head..head + HEAD]);
                pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() * f64::from(scale)
            };
            let scores: Vec<f64> = k.chunks(width).map(dot).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
            let total: f64 = weights.iter().sum();
            let mut row = [0.0; HEAD];
            for (weight, value) in weights.iter().zip(v.chunks(width)) {
                row.iter_mut().zip(&value[head..]).for_each(|(sum, &value)| *sum += weight / total * f64::from(value));
            }
            y.extend(row);
        }
    }
    y
}
