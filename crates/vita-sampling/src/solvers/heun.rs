//! `heun`: an Euler step, then the mean of the directions at both of its ends; Euler alone to level 0.

use vita_tensor::Tensor;

use super::{Stop, Walk, euler};
use crate::arithmetic::{combine, direction};

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        let d = direction(&x, &denoised, sigma);
        let ahead = euler::step(&x, &d, sigma, next);
        x = if next == 0.0 {
            ahead
        } else {
            let d2 = direction(&ahead, &walk.denoise(&ahead, next)?, next);
            combine([(1.0, &x), ((next - sigma) / 2.0, &d), ((next - sigma) / 2.0, &d2)])
        };
        walk.done(i, &denoised)?;
    }
    Ok(x)
}
