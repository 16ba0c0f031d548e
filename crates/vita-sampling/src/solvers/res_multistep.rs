//! `res_multistep`: second-order exponential integrator over the last two denoised latents, eta 0
//! (Zhang et al., 2023, "Improved order analysis and design of exponential integrator").

use vita_tensor::Tensor;

use super::{Stop, Walk, euler};
use crate::arithmetic::{combine, direction};

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let mut before: Option<Tensor> = None;
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        x = match &before {
            Some(old) if next > 0.0 => {
                let h = sigma.ln() - next.ln();
                let c2 = (sigma.ln() - walk.levels(i - 1).0.ln()) / h;
                let phi1 = (-h).exp_m1() / -h;
                let phi2 = (phi1 - 1.0) / -h;
                let [b1, b2] = [phi1 - phi2 / c2, phi2 / c2].map(|b| if b.is_nan() { 0.0 } else { b });
                combine([((-h).exp(), &x), (h * b1, &denoised), (h * b2, old)])
            }
            _ => euler::step(&x, &direction(&x, &denoised, sigma), sigma, next),
        };
        before = Some(denoised);
    }
    Ok(x)
}
