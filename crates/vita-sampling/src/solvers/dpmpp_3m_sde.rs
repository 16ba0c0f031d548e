//! `dpmpp_3m_sde`: DPM-Solver++(3M) as a stochastic equation, eta 1, on `ln((1 - s) / s)`.

use vita_tensor::Tensor;

use super::{Stop, Walk, log_snr};
use crate::arithmetic::combine;

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let brownian = walk.brownian();
    walk.start_below_one();
    // Denoised latents and lengths of the steps before, the latest first.
    let mut before: Vec<(Tensor, f64)> = Vec::new();
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        if next == 0.0 {
            x = denoised;
            continue;
        }
        let h = log_snr(next) - log_snr(sigma);
        let (alpha, full) = (1.0 - next, 2.0 * h);
        let fall = (-full).exp_m1();
        x = combine([(next / sigma * (-h).exp(), &x), (-alpha * fall, &denoised)]);
        let phi_2 = fall / full + 1.0;
        match &before[..] {
            [(old, h1), (older, h2), ..] => {
                let (r0, r1) = (h1 / h, h2 / h);
                let phi_3 = phi_2 / full - 0.5;
                // Divided differences of the last three: the slope and the bend.
                let slope = |u: f64, v: f64| (u + (u - v) * r0 / (r0 + r1), (u - v) / (r0 + r1));
                let weight = |u: f64, v: f64| {
                    let (first, second) = slope(u, v);
                    alpha * (phi_2 * first - phi_3 * second)
                };
                x = combine([
                    (1.0, &x),
                    (weight(1.0 / r0, 0.0), &denoised),
                    (weight(-1.0 / r0, 1.0 / r1), old),
                    (weight(0.0, -1.0 / r1), older),
                ]);
            }
            [(old, h1)] => {
                let weight = alpha * phi_2 * h / h1;
                x = combine([(1.0, &x), (weight, &denoised), (-weight, old)]);
            }
            [] => {}
        }
        let spread = next * (-(-2.0 * h).exp_m1()).sqrt();
        x = combine([(1.0, &x), (spread, &brownian.noise(sigma as f32, next as f32))]);
        before.insert(0, (denoised, h));
        before.truncate(2);
    }
    Ok(x)
}
