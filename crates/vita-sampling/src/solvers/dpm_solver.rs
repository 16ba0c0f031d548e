//! `dpm_fast` and `dpm_adaptive`: DPM-Solver (Lu et al., 2022) of orders 1 to 3 on `t = -ln s`, with steps of one
//! length, or of a length that an estimate of the error chooses. Both stop at the least level above 0.

use vita_tensor::Tensor;

use super::{Stop, Walk};
use crate::arithmetic::{combine, direction};

/// Where the third order's stages lie in a step.
const R1: f64 = 1.0 / 3.0;
const R2: f64 = 2.0 / 3.0;

pub fn fast(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let (start, end) = ends(walk);
    let evaluations = walk.step_count();
    let pieces = evaluations / 3 + 1;
    let mut orders = vec![3; pieces - 1];
    match evaluations % 3 {
        0 => {
            orders.pop();
            orders.extend([2, 1]);
        }
        rest => orders.push(rest),
    }
    let time = |piece: usize| start + (end - start) * piece as f64 / pieces as f64;
    let mut evaluated = 0;
    let mut slope = |walk: &mut Walk, x: &Tensor, t: f64| {
        let (eps, denoised) = slope(walk, x, t)?;
        evaluated += 1;
        walk.done(evaluated - 1, &denoised)?;
        Ok(eps)
    };
    for (piece, &order) in orders.iter().enumerate() {
        let (t, next) = (time(piece), time(piece + 1));
        let eps = slope(walk, &x, t)?;
        x = match order {
            1 => first(&x, &eps, t, next),
            2 => {
                let ahead = stage(walk, &mut slope, &x, &eps, (t, next), 0.5)?;
                second(&x, &eps, &ahead, t, next, 0.5)
            }
            _ => {
                let ahead = stage(walk, &mut slope, &x, &eps, (t, next), R1)?;
                third(walk, &mut slope, &x, &eps, &ahead, (t, next))?
            }
        };
    }
    Ok(x)
}

/// Tolerances, first length and safety as in k-diffusion.
const RELATIVE: f64 = 0.05;
const ABSOLUTE: f64 = 0.0078;
const LENGTH: f64 = 0.05;
const SAFETY: f64 = 0.81;
/// The way is at its end within this.
const END: f64 = 1e-5;
/// Steps after which it gives up; none of the published models takes a hundred.
const TRIES_MAX: usize = 10_000;

pub fn adaptive(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let (mut t, end) = ends(walk);
    let steps = walk.step_count();
    let mut length = LENGTH;
    let mut before = x.clone();
    let mut later = |walk: &mut Walk, x: &Tensor, t: f64| slope(walk, x, t).map(|(eps, _)| eps);
    for done in 0..TRIES_MAX {
        if t >= end - END {
            break;
        }
        let next = end.min(t + length);
        let (eps, denoised) = slope(walk, &x, t)?;
        let ahead = stage(walk, &mut later, &x, &eps, (t, next), R1)?;
        let low = second(&x, &eps, &ahead, t, next, R1);
        let high = third(walk, &mut later, &x, &eps, &ahead, (t, next))?;
        // A controller with an integral part only, for a method of third order.
        let factor = 1.0 + ((1.0 / (error(&low, &high, &before) + 1e-8)).cbrt() - 1.0).atan();
        // How many steps it takes is not known beforehand: the last of the schedule stands for all beyond it.
        walk.done(done.min(steps - 1), &denoised)?;
        // Numbers that are none would never be accepted; whoever looks at the result will see them.
        if factor >= SAFETY || factor.is_nan() {
            (before, x, t) = (low, high, next);
        }
        length = if factor.is_nan() { LENGTH } else { length * factor };
    }
    Ok(x)
}

/// Root mean square of the difference of two orders, in units of what is tolerated.
fn error(low: &Tensor, high: &Tensor, before: &Tensor) -> f64 {
    let pairs = low.f32s().iter().zip(high.f32s()).zip(before.f32s());
    let sum: f64 = pairs
        .map(|((&low, &high), &before)| {
            let tolerated = ABSOLUTE.max(RELATIVE * f64::from(low.abs().max(before.abs())));
            (f64::from(low - high) / tolerated).powi(2)
        })
        .sum();
    (sum / low.f32s().len() as f64).sqrt()
}

/// `t` of the first level and of the least one above 0.
fn ends(walk: &Walk) -> (f64, f64) {
    let steps = walk.step_count();
    let (before, last) = walk.levels(steps - 1);
    let last = if last == 0.0 { before } else { last };
    (-walk.levels(0).0.ln(), -last.ln())
}

/// A slope at a time, from the model.
type Slope<'a> = dyn FnMut(&mut Walk, &Tensor, f64) -> Result<Tensor, Stop> + 'a;

/// The slope and the denoised latent at a time.
fn slope(walk: &mut Walk, x: &Tensor, t: f64) -> Result<(Tensor, Tensor), Stop> {
    let sigma = (-t).exp();
    let denoised = walk.denoise(x, sigma)?;
    Ok((direction(x, &denoised, sigma), denoised))
}

fn first(x: &Tensor, eps: &Tensor, t: f64, next: f64) -> Tensor {
    combine([(1.0, x), (-(-next).exp() * (next - t).exp_m1(), eps)])
}

/// The slope at a share `r` of the step.
fn stage(
    walk: &mut Walk,
    slope: &mut Slope,
    x: &Tensor,
    eps: &Tensor,
    (t, next): (f64, f64),
    r: f64,
) -> Result<Tensor, Stop> {
    let middle = t + r * (next - t);
    slope(walk, &first(x, eps, t, middle), middle)
}

fn second(x: &Tensor, eps: &Tensor, ahead: &Tensor, t: f64, next: f64, r: f64) -> Tensor {
    let whole = (-next).exp() * (next - t).exp_m1();
    let bent = whole / (2.0 * r);
    combine([(1.0, x), (bent - whole, eps), (-bent, ahead)])
}

/// ahead: the slope at the first third.
fn third(
    walk: &mut Walk,
    slope: &mut Slope,
    x: &Tensor,
    eps: &Tensor,
    ahead: &Tensor,
    (t, next): (f64, f64),
) -> Result<Tensor, Stop> {
    let h = next - t;
    let middle = t + R2 * h;
    let whole = (-middle).exp() * (R2 * h).exp_m1();
    let bent = (-middle).exp() * (R2 / R1) * ((R2 * h).exp_m1() / (R2 * h) - 1.0);
    let further = combine([(1.0, x), (bent - whole, eps), (-bent, ahead)]);
    let eps2 = slope(walk, &further, middle)?;
    let whole = (-next).exp() * h.exp_m1();
    let bent = (-next).exp() / R2 * (h.exp_m1() / h - 1.0);
    Ok(combine([(1.0, x), (bent - whole, eps), (-bent, &eps2)]))
}
