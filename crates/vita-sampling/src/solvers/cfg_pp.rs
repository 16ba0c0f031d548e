//! `euler_cfg_pp` and `euler_ancestral_cfg_pp`: the direction is the unconditional one, from the guided latent
//! (Chung et al., 2024, "CFG++"), on `s / (1 - s)`; the ancestral one makes all of a step's noise new.

use vita_tensor::Tensor;

use super::ancestral::split;
use super::{Stop, Walk};
use crate::arithmetic::combine;

pub fn euler(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, None::<fn() -> Tensor>)
}

pub fn ancestral(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    let noise = walk.step_noise();
    run(walk, x, Some(noise))
}

fn run(walk: &mut Walk, mut x: Tensor, mut noise: Option<impl FnMut() -> Tensor>) -> Result<Tensor, Stop> {
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let (denoised, uncond) = walk.denoise_pair(&x, sigma)?;
        walk.done(i, &denoised)?;
        if next == 0.0 {
            x = denoised;
            continue;
        }
        let (alpha, alpha_next) = (1.0 - sigma, 1.0 - next);
        let (down, up) = match noise {
            Some(_) => split(sigma / alpha, next / alpha_next),
            None => (next / alpha_next, 0.0),
        };
        let down = alpha_next * down / sigma;
        x = combine([(alpha_next, &denoised), (down, &x), (-down * alpha, &uncond)]);
        if let Some(noise) = &mut noise {
            x = combine([(1.0, &x), (alpha_next * up, &noise())]);
        }
    }
    Ok(x)
}
