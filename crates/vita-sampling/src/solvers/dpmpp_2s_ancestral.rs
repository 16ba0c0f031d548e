//! `dpmpp_2s_ancestral`: DPM-Solver++(2S) with all of a step's noise new, in its form for flows; and
//! `dpmpp_2s_ancestral_cfg_pp`, which has no such form: it goes along the unconditional direction on `t = -ln s`.

use vita_tensor::Tensor;

use super::ancestral::{Renoise, split};
use super::{Stop, Walk, euler, log_snr, sigma_of_log_snr};
use crate::arithmetic::{combine, direction};

/// The middle of a step from level 1, which has no `ln((1 - s) / s)`.
const MIDDLE_FROM_ONE: f64 = 0.9999;

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let mut noise = walk.step_noise();
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        if next == 0.0 {
            x = euler::step(&x, &direction(&x, &denoised, sigma), sigma, 0.0);
            continue;
        }
        let Renoise { down, scale, noise: renoise } = Renoise::of_flow(sigma, next);
        let middle = match sigma == 1.0 {
            true => MIDDLE_FROM_ONE,
            false => sigma_of_log_snr((log_snr(sigma) + log_snr(down)) / 2.0),
        };
        let ahead = blend(&x, &denoised, middle / sigma);
        let denoised2 = walk.denoise(&ahead, middle)?;
        x = combine([(scale, &blend(&x, &denoised2, down / sigma)), (renoise, &noise())]);
    }
    Ok(x)
}

/// A share of the noisy latent and the rest of the denoised one.
fn blend(x: &Tensor, denoised: &Tensor, share: f64) -> Tensor {
    combine([(share, x), (1.0 - share, denoised)])
}

pub fn cfg_pp(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let mut noise = walk.step_noise();
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let (denoised, uncond) = walk.denoise_pair(&x, sigma)?;
        walk.done(i, &denoised)?;
        let (down, up) = split(sigma, next);
        if down == 0.0 {
            x = denoised;
        } else {
            let shifted = |uncond: &Tensor| combine([(1.0, &x), (1.0, &denoised), (-1.0, uncond)]);
            let middle = (sigma * down).sqrt();
            let ahead = blend(&shifted(&uncond), &denoised, middle / sigma);
            // ComfyUI's rule takes the unconditional latent of the middle from here on.
            let (denoised2, uncond2) = walk.denoise_pair(&ahead, middle)?;
            x = blend(&shifted(&uncond2), &denoised2, down / sigma);
        }
        if next > 0.0 {
            x = combine([(1.0, &x), (up, &noise())]);
        }
    }
    Ok(x)
}
