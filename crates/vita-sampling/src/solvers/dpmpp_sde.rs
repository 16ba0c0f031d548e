//! `dpmpp_sde`: DPM-Solver++ (stochastic, second order), eta 1, with its middle at half of the logarithmic step.

use vita_tensor::Tensor;

use super::ancestral::split;
use super::{Stop, Walk, log_snr, sigma_of_log_snr};
use crate::arithmetic::combine;

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let brownian = walk.brownian();
    walk.start_below_one();
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        if next == 0.0 {
            x = denoised.clone();
            walk.done(i, &denoised)?;
            continue;
        }
        let (log, log_next) = (log_snr(sigma), log_snr(next));
        let log_middle = log + 0.5 * (log_next - log);
        let middle = sigma_of_log_snr(log_middle);
        let ahead =
            stage(&x, &denoised, (sigma, log), (middle, log_middle), &brownian.noise(sigma as f32, middle as f32));
        // The middle lies half way, so its denoised latent serves for the whole step.
        let denoised2 = walk.denoise(&ahead, middle)?;
        x = stage(&x, &denoised2, (sigma, log), (next, log_next), &brownian.noise(sigma as f32, next as f32));
        walk.done(i, &denoised)?;
    }
    Ok(x)
}

/// From one level to another, each given with its `ln((1 - s) / s)`.
fn stage(x: &Tensor, denoised: &Tensor, from: (f64, f64), to: (f64, f64), noise: &Tensor) -> Tensor {
    let (alpha, alpha_to) = (1.0 - from.0, 1.0 - to.0);
    let (down, up) = split((-from.1).exp(), (-to.1).exp());
    let h = -down.ln() - from.1;
    combine([(alpha_to / alpha * (-h).exp(), x), (-alpha_to * (-h).exp_m1(), denoised), (alpha_to * up, noise)])
}
