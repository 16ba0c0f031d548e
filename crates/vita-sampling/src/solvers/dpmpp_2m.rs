//! `dpmpp_2m`: DPM-Solver++(2M) (Lu et al., 2022) with `t = -ln s`, for flows too, as k-diffusion has it.

use vita_tensor::Tensor;

use super::{Stop, Walk};
use crate::arithmetic::combine;

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    // The last denoised latent and the length of the step that followed it.
    let mut before: Option<(Tensor, f64)> = None;
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        let h = sigma.ln() - next.ln();
        let factor = -(-h).exp_m1();
        x = match &before {
            Some((old, h_old)) if next != 0.0 => {
                let half = h / (2.0 * h_old);
                combine([(next / sigma, &x), (factor * (1.0 + half), &denoised), (-factor * half, old)])
            }
            _ => combine([(next / sigma, &x), (factor, &denoised)]),
        };
        before = Some((denoised, h));
    }
    Ok(x)
}

/// `dpmpp_2m_cfg_pp`: the same along the unconditional direction from the guided latent.
pub fn cfg_pp(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let mut before: Option<(Tensor, f64)> = None;
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let (denoised, uncond) = walk.denoise_pair(&x, sigma)?;
        walk.done(i, &denoised)?;
        let h = sigma.ln() - next.ln();
        let keep = next / sigma;
        x = match &before {
            Some((old, h_old)) if next != 0.0 => {
                let half = -(-h).exp_m1() * h / (2.0 * h_old);
                combine([(1.0 + half, &denoised), (-keep, &uncond), (-half, old), (keep, &x)])
            }
            _ => combine([(1.0, &denoised), (-keep, &uncond), (keep, &x)]),
        };
        before = Some((uncond, h));
    }
    Ok(x)
}
