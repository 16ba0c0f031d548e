//! `gradient_estimation`: Euler, with the direction moved on by its last change (Permenter and Yuan, 2024), gamma 2;
//! `_cfg_pp` goes along the unconditional direction from the guided latent.

use vita_tensor::Tensor;

use super::{Stop, Walk};
use crate::arithmetic::{combine, direction};

const GAMMA: f64 = 2.0;

pub fn plain(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, false)
}

pub fn cfg_pp(walk: &mut Walk, x: Tensor) -> Result<Tensor, Stop> {
    run(walk, x, true)
}

fn run(walk: &mut Walk, mut x: Tensor, cfg_pp: bool) -> Result<Tensor, Stop> {
    let mut before: Option<Tensor> = None;
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let (denoised, target) = match cfg_pp {
            true => walk.denoise_pair(&x, sigma)?,
            false => {
                let denoised = walk.denoise(&x, sigma)?;
                (denoised.clone(), denoised)
            }
        };
        walk.done(i, &denoised)?;
        let d = direction(&x, &target, sigma);
        if next == 0.0 {
            x = denoised;
        } else {
            let step = next - sigma;
            x = match cfg_pp {
                true => combine([(1.0, &denoised), (next, &d)]),
                false => combine([(1.0, &x), (step, &d)]),
            };
            if let Some(old) = &before {
                let bar = (GAMMA - 1.0) * step;
                x = combine([(1.0, &x), (bar, &d), (-bar, old)]);
            }
        }
        before = Some(d);
    }
    Ok(x)
}
