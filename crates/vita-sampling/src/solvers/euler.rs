//! `euler`: `x += d (s' - s)`.

use vita_tensor::Tensor;

use super::{Stop, Walk};
use crate::arithmetic::{combine, direction};

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        x = step(&x, &direction(&x, &denoised, sigma), sigma, next);
    }
    Ok(x)
}

/// One step along a direction.
pub fn step(x: &Tensor, d: &Tensor, sigma: f64, next: f64) -> Tensor {
    combine([(1.0, x), (next - sigma, d)])
}
