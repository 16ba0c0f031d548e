//! `ipndm` and `ipndm_v`: Adams-Bashforth through up to four directions (Zhang and Chen, 2022), with the weights
//! of equal steps, or with weights that follow the steps' lengths as diff-sampler has them.

use vita_tensor::Tensor;

use super::{Stop, Walk};
use crate::arithmetic::{combine_slice, direction};

const ORDER_MAX: usize = 4;

pub fn equal(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, |_, order| match order {
        1 => vec![1.0],
        2 => vec![3.0 / 2.0, -1.0 / 2.0],
        3 => vec![23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
        _ => vec![55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
    })
}

pub fn variable(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, variable_weights)
}

/// weights: of the directions, the latest first, by the lengths of this step and those before it, and their number.
fn run(walk: &mut Walk, mut x: Tensor, weights: fn(&[f64], usize) -> Vec<f64>) -> Result<Tensor, Stop> {
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
        let length = |back: usize| {
            let (from, to) = walk.levels(i - back);
            to - from
        };
        let lengths: Vec<f64> = (0..directions.len()).map(length).collect();
        let weights = weights(&lengths, directions.len());
        let terms = weights.into_iter().zip(&directions).map(|(weight, d)| ((next - sigma) * weight, d));
        let terms: Vec<(f64, &Tensor)> = [(1.0, &x)].into_iter().chain(terms).collect();
        x = combine_slice(&terms);
    }
    Ok(x)
}

/// `h[0]` is this step's length, `h[1]` the one before it. The first step is Euler's.
fn variable_weights(h: &[f64], order: usize) -> Vec<f64> {
    if order == 1 {
        return vec![1.0];
    }
    // Each order adds a term to the weights of the one below.
    let half = h[0] / h[1] / 2.0;
    let mut weights = vec![1.0 + half, -half];
    if order >= 3 {
        let (h01, h12) = (h[0] + h[1], h[1] + h[2]);
        let third = (1.0 - h[0] / (3.0 * h01) * (h[0] * h01) / (h[1] * h12)) / 2.0;
        let ratio = h[1] / h[2];
        weights[0] += third;
        weights[1] -= (1.0 + ratio) * third;
        weights.push(ratio * third);
        if order >= 4 {
            let (h02, h13, h23) = (h01 + h[2], h12 + h[3], h[2] + h[3]);
            let share = (1.0 - h[0] / (3.0 * h01)) / 2.0 + (1.0 - h[0] / (2.0 * h01)) * h[0] / (6.0 * h02);
            let fourth = share * (h[0] * h01 * h02) / (h[1] * h12 * h13);
            let across = h[1] * h12 / (h[2] * h23);
            weights[0] += fourth;
            weights[1] -= (1.0 + ratio + across) * fourth;
            weights[2] += (ratio + across * (1.0 + h[2] / h[3])) * fourth;
            weights.push(-fourth * across * ratio);
        }
    }
    weights
}
