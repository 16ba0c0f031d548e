//! `seeds_3`: SEEDS (Gonzalez et al., 2023), three stages at thirds of the step, eta 1, on `ln((1 - s) / s)`.

use vita_tensor::Tensor;

use super::{Stop, Walk, log_snr, sigma_of_log_snr};
use crate::arithmetic::combine;

const R1: f64 = 1.0 / 3.0;
const R2: f64 = 2.0 / 3.0;

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let mut noise = walk.step_noise();
    walk.start_below_one();
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        if next == 0.0 {
            x = denoised;
            continue;
        }
        let (log, log_next) = (log_snr(sigma), log_snr(next));
        let h = log_next - log;
        // With eta 1 the denoised part goes twice as far.
        let full = 2.0 * h;
        let [s1, s2] = [R1, R2].map(|r| sigma_of_log_snr(log + r * h));

        let mut path = combine([(spread(R1 * h), &noise())]);
        let x2 = combine([
            (s1 / sigma * (-R1 * h).exp(), &x),
            (-(1.0 - s1) * (-R1 * full).exp_m1(), &denoised),
            (s1, &path),
        ]);
        let denoised2 = walk.denoise(&x2, s1)?;

        let second = R2 / R1 * phi_2(-R2 * full);
        let first = (-R2 * full).exp_m1() - second;
        path = combine([((-(R2 - R1) * h).exp(), &path), (spread((R2 - R1) * h), &noise())]);
        let x3 = combine([
            (s2 / sigma * (-R2 * h).exp(), &x),
            (-(1.0 - s2) * first, &denoised),
            (-(1.0 - s2) * second, &denoised2),
            (s2, &path),
        ]);
        let denoised3 = walk.denoise(&x3, s2)?;

        let third = phi_2(-full) / R2;
        let first = (-full).exp_m1() - third;
        path = combine([((-(1.0 - R2) * h).exp(), &path), (spread((1.0 - R2) * h), &noise())]);
        x = combine([
            (next / sigma * (-h).exp(), &x),
            (-(1.0 - next) * first, &denoised),
            (-(1.0 - next) * third, &denoised3),
            (next, &path),
        ]);
    }
    Ok(x)
}

/// Size of the noise that comes in over a logarithmic length.
fn spread(h: f64) -> f64 {
    (-(-2.0 * h).exp_m1()).sqrt()
}

/// `(e^h - 1 - h) / h`
fn phi_2(h: f64) -> f64 {
    (h.exp_m1() - h) / h
}
