//! `dpm_2`: the direction at the geometric middle of a step; Euler to level 0.

use vita_tensor::Tensor;

use super::{Stop, Walk, euler};
use crate::arithmetic::direction;

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        let mut d = direction(&x, &denoised, sigma);
        if next != 0.0 {
            let middle = (sigma * next).sqrt();
            let ahead = euler::step(&x, &d, sigma, middle);
            d = direction(&ahead, &walk.denoise(&ahead, middle)?, middle);
        }
        x = euler::step(&x, &d, sigma, next);
        walk.done(i, &denoised)?;
    }
    Ok(x)
}
