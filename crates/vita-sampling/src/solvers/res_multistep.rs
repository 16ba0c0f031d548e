//! `res_multistep` and its kin: second-order exponential integrator over the last two denoised latents
//! (Zhang et al., 2023, "Improved order analysis and design of exponential integrator"); `_ancestral` makes all of
//! a step's noise new, `_cfg_pp` goes along the unconditional direction from the guided latent.

use vita_tensor::Tensor;

use super::ancestral::split;
use super::{Stop, Walk};
use crate::arithmetic::combine;

pub fn plain(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, Form { ancestral: false, cfg_pp: false })
}

pub fn cfg_pp(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, Form { ancestral: false, cfg_pp: true })
}

pub fn ancestral(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, Form { ancestral: true, cfg_pp: false })
}

pub fn ancestral_cfg_pp(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, Form { ancestral: true, cfg_pp: true })
}

struct Form {
    ancestral: bool,
    cfg_pp: bool,
}

fn run(walk: &mut Walk, mut x: Tensor, form: Form) -> Result<Tensor, Stop> {
    let mut noise = walk.step_noise();
    // What the last step went by, and the level that it went down to.
    let mut before: Option<(Tensor, f64)> = None;
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let (denoised, target) = match form.cfg_pp {
            true => walk.denoise_pair(&x, sigma)?,
            false => {
                let denoised = walk.denoise(&x, sigma)?;
                (denoised.clone(), denoised)
            }
        };
        walk.done(i, &denoised)?;
        let (down, up) = if form.ancestral { split(sigma, next) } else { (next, 0.0) };
        x = match &before {
            Some((old, down_old)) if down > 0.0 => {
                let h = sigma.ln() - down.ln();
                let c2 = (down_old.ln() - walk.levels(i - 1).0.ln()) / h;
                let phi1 = (-h).exp_m1() / -h;
                let phi2 = (phi1 - 1.0) / -h;
                let [b1, b2] = [phi1 - phi2 / c2, phi2 / c2].map(|b| if b.is_nan() { 0.0 } else { b });
                let keep = (-h).exp();
                // Where there is no CFG++, the denoised latent is the target, and the two terms cancel.
                combine([(keep, &x), (keep, &denoised), (h * b1 - keep, &target), (h * b2, old)])
            }
            _ => {
                let keep = down / sigma;
                combine([(1.0, &denoised), (keep, &x), (-keep, &target)])
            }
        };
        if form.ancestral && next > 0.0 {
            x = combine([(1.0, &x), (up, &noise())]);
        }
        before = Some((target, down));
    }
    Ok(x)
}
