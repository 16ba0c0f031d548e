//! `er_sde`: extended reverse-time stochastic equation (Cui et al., 2023, ER-SDE-Solver-3), on `s / (1 - s)`.

use vita_tensor::Tensor;

use super::{Stop, Walk, log_snr};
use crate::arithmetic::combine;

/// Points of the integrals' sums.
const POINTS: usize = 200;

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let mut noise = walk.step_noise();
    walk.start_below_one();
    let lambdas: Vec<f64> = walk.sigmas.iter().map(|&sigma| (-log_snr(sigma.into())).exp()).collect();
    // The last denoised latent, and its slope over lambda.
    let mut old: Option<Tensor> = None;
    let mut old_slope: Option<Tensor> = None;
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        if next == 0.0 {
            x = denoised.clone();
        } else {
            let (from, to) = (lambdas[i], lambdas[i + 1]);
            let (alpha, alpha_next) = (1.0 - sigma, 1.0 - next);
            let r = weight(to) / weight(from);
            x = combine([(alpha_next / alpha * r, &x), (alpha_next * (1.0 - r), &denoised)]);
            if let Some(old) = &old {
                let bends = bends(from, to);
                let run = 1.0 / (from - lambdas[i - 1]);
                let slope = combine([(run, &denoised), (-run, old)]);
                x = combine([(1.0, &x), (alpha_next * bends[0], &slope)]);
                if let Some(old_slope) = &old_slope {
                    let run = 2.0 / (from - lambdas[i - 2]) * alpha_next * bends[1];
                    x = combine([(1.0, &x), (run, &slope), (-run, old_slope)]);
                }
                old_slope = Some(slope);
            }
            x = combine([(1.0, &x), (alpha_next * spread(from, to), &noise())]);
        }
        old = Some(denoised);
    }
    Ok(x)
}

/// How much noise is drawn anew at a level.
pub(crate) fn weight(lambda: f64) -> f64 {
    lambda * (lambda.powf(0.3).exp() + 10.0)
}

/// What the denoised latent's slope over the levels adds from one level to the next, and what the slope's slope does.
pub(crate) fn bends(from: f64, to: f64) -> [f64; 2] {
    let step = to - from;
    let width = -step / POINTS as f64;
    let sum = |value: &dyn Fn(f64) -> f64| {
        let places = (0..POINTS).map(|point| to + point as f64 * width);
        places.map(|place| value(place) / weight(place)).sum::<f64>() * width * weight(to)
    };
    [step + sum(&|_| 1.0), step * step / 2.0 + sum(&|place| place - from)]
}

/// Deviation of the noise that is added from one level to the next.
pub(crate) fn spread(from: f64, to: f64) -> f64 {
    let r = weight(to) / weight(from);
    let square = to * to - from * from * r * r;
    if square > 0.0 { square.sqrt() } else { 0.0 }
}
