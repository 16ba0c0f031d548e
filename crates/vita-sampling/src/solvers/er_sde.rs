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
                let step = to - from;
                let width = -step / POINTS as f64;
                let places = (0..POINTS).map(|point| to + point as f64 * width);
                let area: f64 = places.clone().map(|place| 1.0 / weight(place)).sum::<f64>() * width;
                let run = 1.0 / (from - lambdas[i - 1]);
                let slope = combine([(run, &denoised), (-run, old)]);
                x = combine([(1.0, &x), (alpha_next * (step + area * weight(to)), &slope)]);
                if let Some(old_slope) = &old_slope {
                    let area: f64 = places.map(|place| (place - from) / weight(place)).sum::<f64>() * width;
                    let factor = alpha_next * (step * step / 2.0 + area * weight(to));
                    let run = 2.0 / (from - lambdas[i - 2]);
                    x = combine([(1.0, &x), (factor * run, &slope), (-factor * run, old_slope)]);
                }
                old_slope = Some(slope);
            }
            let spread = (to * to - from * from * r * r).sqrt();
            let spread = if spread.is_nan() { 0.0 } else { spread };
            x = combine([(1.0, &x), (alpha_next * spread, &noise())]);
        }
        old = Some(denoised);
    }
    Ok(x)
}

/// How much noise is drawn anew at a level of `s / (1 - s)`.
fn weight(lambda: f64) -> f64 {
    lambda * (lambda.powf(0.3).exp() + 10.0)
}
