//! `dpm_2_ancestral`, in its form for flows: the direction at the geometric middle on the way to a level below
//! the next, then noise back up to it. All of the step's noise is new (eta 1).

use vita_tensor::Tensor;

use super::ancestral::Renoise;
use super::{Stop, Walk, euler};
use crate::arithmetic::{combine, direction};

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let mut noise = walk.step_noise();
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        let d = direction(&x, &denoised, sigma);
        let Renoise { down, scale, noise: renoise } = Renoise::of_flow(sigma, next);
        if down == 0.0 {
            x = euler::step(&x, &d, sigma, 0.0);
            continue;
        }
        let middle = (sigma * down).sqrt();
        let ahead = euler::step(&x, &d, sigma, middle);
        let d2 = direction(&ahead, &walk.denoise(&ahead, middle)?, middle);
        x = euler::step(&x, &d2, sigma, down);
        x = combine([(scale, &x), (renoise, &noise())]);
    }
    Ok(x)
}
