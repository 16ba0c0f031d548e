//! `seeds_2` (SEEDS, Gonzalez et al., 2023, two stages, middle at half of the step), and with the second stage at
//! the step's end `exp_heun_2_x0` (without noise) and `exp_heun_2_x0_sde`. All on `ln((1 - s) / s)`.

use vita_tensor::Tensor;

use super::{Stop, Walk, log_snr, sigma_of_log_snr};
use crate::arithmetic::combine;

pub fn seeds_2(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, Form { middle: 0.5, eta: 1.0, phi_2: false })
}

pub fn exp_heun(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, Form { middle: 1.0, eta: 0.0, phi_2: true })
}

pub fn exp_heun_sde(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, Form { middle: 1.0, eta: 1.0, phi_2: true })
}

struct Form {
    /// Where in the logarithmic step the second stage lies.
    middle: f64,
    /// Share of a step's noise that is new.
    eta: f64,
    /// Whether the stages are weighted by the second exponential function rather than by their places.
    phi_2: bool,
}

fn run(walk: &mut Walk, mut x: Tensor, form: Form) -> Result<Tensor, Stop> {
    let mut noise = walk.step_noise();
    walk.start_below_one();
    let Form { middle: r, eta, phi_2 } = form;
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
        let h_eta = h * (1.0 + eta);
        let middle = sigma_of_log_snr(log + r * h);
        let mut ahead = combine([
            (middle / sigma * (-r * h * eta).exp(), &x),
            (-(1.0 - middle) * (-r * h_eta).exp_m1(), &denoised),
        ]);
        let mut sde = None;
        if eta > 0.0 {
            let drawn = combine([((-(-2.0 * r * h * eta).exp_m1()).sqrt(), &noise())]);
            ahead = combine([(1.0, &ahead), (middle, &drawn)]);
            sde = Some(drawn);
        }
        let denoised2 = walk.denoise(&ahead, middle)?;
        let phi_1 = (-h_eta).exp_m1();
        let second = if phi_2 { (phi_1 + h_eta) / -h_eta / r } else { phi_1 / (2.0 * r) };
        let alpha = 1.0 - next;
        x = combine([
            (next / sigma * (-h * eta).exp(), &x),
            (-alpha * (phi_1 - second), &denoised),
            (-alpha * second, &denoised2),
        ]);
        if let Some(drawn) = sde {
            let rest = (r - 1.0) * h * eta;
            // Drawn even where its factor is zero: the draws of later steps follow it.
            let new = noise();
            x = combine([(1.0, &x), (next * rest.exp(), &drawn), (next * (-(2.0 * rest).exp_m1()).sqrt(), &new)]);
        }
    }
    Ok(x)
}
