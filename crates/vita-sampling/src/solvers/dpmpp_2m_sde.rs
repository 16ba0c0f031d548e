//! `dpmpp_2m_sde` and `dpmpp_2m_sde_heun`: DPM-Solver++(2M) as a stochastic equation, in its midpoint and Heun
//! forms, eta 1, on `ln((1 - s) / s)`.

use vita_tensor::Tensor;

use super::{Stop, Walk, log_snr};
use crate::arithmetic::combine;

pub fn midpoint(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, |h| -0.5 * (-2.0 * h).exp_m1())
}

pub fn heun(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, |h| 1.0 + (-2.0 * h).exp_m1() / (2.0 * h))
}

/// bend: weight of the change since the last step, by the step's length.
fn run(walk: &mut Walk, mut x: Tensor, bend: fn(f64) -> f64) -> Result<Tensor, Stop> {
    let brownian = walk.brownian();
    walk.start_below_one();
    let mut before: Option<(Tensor, f64)> = None;
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        if next == 0.0 {
            x = denoised;
            continue;
        }
        let h = log_snr(next) - log_snr(sigma);
        // With eta 1 the step is as long again for the denoised part.
        let gain = (1.0 - next) * -(-2.0 * h).exp_m1();
        let correction = before.as_ref().map_or(0.0, |(_, h_old)| (1.0 - next) * bend(h) * h / h_old);
        let keep = next / sigma * (-h).exp();
        let spread = next * (-(-2.0 * h).exp_m1()).sqrt();
        let noise = brownian.noise(sigma as f32, next as f32);
        let old = before.as_ref().map_or(&denoised, |(old, _)| old);
        x = combine([(keep, &x), (gain + correction, &denoised), (-correction, old), (spread, &noise)]);
        before = Some((denoised, h));
    }
    Ok(x)
}
