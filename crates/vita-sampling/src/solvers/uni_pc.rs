//! `uni_pc` and `uni_pc_bh2`: the unified predictor-corrector (Zhao et al., 2023), up to third order, on
//! denoised latents, in the variance-preserving scale that k-diffusion's levels have in ComfyUI.

use vita_tensor::Tensor;

use super::{Stop, Walk};
use crate::arithmetic::{combine, combine_slice};

const ORDER_MAX: usize = 3;

pub fn bh1(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, |hh| hh)
}

pub fn bh2(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, f64::exp_m1)
}

/// A level in the variance-preserving scale: `alpha^2 + sigma^2 = 1`.
#[derive(Clone, Copy)]
struct Level {
    original: f64,
    alpha: f64,
    sigma: f64,
    /// `ln(alpha / sigma)`
    lambda: f64,
}

impl Level {
    fn new(original: f32) -> Self {
        let original = f64::from(original);
        let alpha = 1.0 / (1.0 + original * original).sqrt();
        Self { original, alpha, sigma: original * alpha, lambda: -original.ln() }
    }
}

/// What was denoised at a level.
struct Known {
    level: Level,
    denoised: Tensor,
}

fn run(walk: &mut Walk, x: Tensor, b_of: fn(f64) -> f64) -> Result<Tensor, Stop> {
    let levels: Vec<Level> = walk.sigmas.iter().map(|&sigma| Level::new(sigma)).collect();
    let steps = walk.step_count();
    let order_max = ORDER_MAX.min(levels.len() - 2);
    let mut x = combine([(levels[0].alpha, &x)]);
    let mut known = vec![denoise(walk, &x, levels[0])?];
    walk.done(0, &known[0].denoised)?;
    for (step, &level) in levels.iter().enumerate().skip(1) {
        let order = order_max.min(step).min(steps + 1 - step);
        let last = known.last().expect("denoised at the first level");
        let update = Update::new(&known[known.len() - order..], level, b_of);
        let base = combine([(level.sigma / last.level.sigma, &x), (-level.alpha * update.h_phi_1, &last.denoised)]);
        x = update.predict(&base);
        if step < steps {
            let ahead = denoise(walk, &x, level)?;
            x = update.correct(&base, &ahead.denoised);
            walk.done(step, &ahead.denoised)?;
            known.push(ahead);
            if known.len() > ORDER_MAX {
                known.remove(0);
            }
        }
    }
    Ok(combine([(1.0 / levels[steps].alpha, &x)]))
}

fn denoise(walk: &mut Walk, x: &Tensor, level: Level) -> Result<Known, Stop> {
    let denoised = walk.denoise(&combine([(1.0 / level.alpha, x)]), level.original)?;
    Ok(Known { level, denoised })
}

/// The coefficients of one step.
struct Update<'a> {
    /// The latest last.
    known: &'a [Known],
    target: Level,
    h_phi_1: f64,
    /// `B(h)` of the paper.
    b_h: f64,
    /// Places of the earlier levels in the step, the nearest first, and 1 for the target.
    ratios: Vec<f64>,
    b: Vec<f64>,
}

impl<'a> Update<'a> {
    fn new(known: &'a [Known], target: Level, b_of: fn(f64) -> f64) -> Self {
        let (last, earlier) = known.split_last().expect("an order of at least 1");
        let h = target.lambda - last.level.lambda;
        let ratio = |known: &Known| (known.level.lambda - last.level.lambda) / h;
        let ratios: Vec<f64> = earlier.iter().rev().map(ratio).chain([1.0]).collect();
        let hh = -h;
        let h_phi_1 = hh.exp_m1();
        let b_h = b_of(hh);
        let (mut h_phi, mut factorial) = (h_phi_1 / hh - 1.0, 1.0);
        let mut b = Vec::with_capacity(known.len());
        for i in 1..=known.len() {
            b.push(h_phi * factorial / b_h);
            factorial *= (i + 1) as f64;
            h_phi = h_phi / hh - 1.0 / factorial;
        }
        Self { known, target, h_phi_1, b_h, ratios, b }
    }

    fn predict(&self, base: &Tensor) -> Tensor {
        let count = self.ratios.len() - 1;
        let weights = match count {
            0 => Vec::new(),
            1 => vec![0.5],
            _ => solve(&self.ratios[..count], &self.b[..count]),
        };
        self.finish(base, &weights, None)
    }

    fn correct(&self, base: &Tensor, ahead: &Tensor) -> Tensor {
        let weights = match self.ratios.len() {
            1 => vec![0.5],
            _ => solve(&self.ratios, &self.b),
        };
        self.finish(base, &weights, Some(ahead))
    }

    /// `base - alpha B(h) (sum of weight * (m_k - m_0) / ratio_k)`, the target itself with ratio 1.
    fn finish(&self, base: &Tensor, weights: &[f64], ahead: Option<&Tensor>) -> Tensor {
        let (last, earlier) = self.known.split_last().expect("an order of at least 1");
        let factor = -self.target.alpha * self.b_h;
        let mut terms = vec![(1.0, base)];
        let mut of_last = 0.0;
        let others = earlier.iter().rev().map(|known| &known.denoised).chain(ahead);
        for ((other, ratio), weight) in others.zip(&self.ratios).zip(weights) {
            let share = factor * weight / ratio;
            terms.push((share, other));
            of_last -= share;
        }
        terms.push((of_last, &last.denoised));
        combine_slice(&terms)
    }
}

/// Weights `w` with `sum of w_k ratio_k^i = b_i` for all `i`, by elimination with pivots.
fn solve(ratios: &[f64], b: &[f64]) -> Vec<f64> {
    let n = ratios.len();
    let mut rows: Vec<Vec<f64>> =
        (0..n).map(|i| ratios.iter().map(|ratio| ratio.powi(i as i32)).chain([b[i]]).collect()).collect();
    for column in 0..n {
        let pivot = (column..n).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()));
        rows.swap(column, pivot.unwrap_or(column));
        let (done, rest) = rows.split_at_mut(column + 1);
        let row = &done[column];
        for other in rest {
            let factor = other[column] / row[column];
            other.iter_mut().zip(row).for_each(|(value, above)| *value -= factor * above);
        }
    }
    let mut weights = vec![0.0; n];
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| rows[i][k] * weights[k]).sum();
        weights[i] = (rows[i][n] - known) / rows[i][i];
    }
    weights
}
