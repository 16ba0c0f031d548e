//! `lms`: linear multistep (Katherine Crowson): the polynomial through up to four directions, integrated exactly.

use vita_tensor::Tensor;

use super::{Stop, Walk};
use crate::arithmetic::{combine_slice, direction};

const ORDER_MAX: usize = 4;

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    // The latest first.
    let mut directions: Vec<Tensor> = Vec::new();
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        directions.insert(0, direction(&x, &denoised, sigma));
        directions.truncate(ORDER_MAX);
        if next == 0.0 {
            x = denoised;
            continue;
        }
        let known: Vec<f64> = (0..directions.len()).map(|back| walk.levels(i - back).0).collect();
        let factors = (0..known.len()).map(|j| integral(&known, j, sigma, next));
        let terms: Vec<(f64, &Tensor)> = factors.zip(&directions).collect();
        x = combine_slice(&[&[(1.0, &x)], &terms[..]].concat());
    }
    Ok(x)
}

/// Integral from one level to another of the polynomial that is 1 at `known[j]` and 0 at the others. Two points
/// of Gauss integrate polynomials up to the third degree exactly.
fn integral(known: &[f64], j: usize, from: f64, to: f64) -> f64 {
    let (middle, half) = ((from + to) / 2.0, (to - from) / 2.0);
    let at = |sigma: f64| -> f64 {
        let others = known.iter().enumerate().filter(|&(k, _)| k != j);
        others.map(|(_, other)| (sigma - other) / (known[j] - other)).product()
    };
    let offset = half / 3f64.sqrt();
    half * (at(middle - offset) + at(middle + offset))
}
