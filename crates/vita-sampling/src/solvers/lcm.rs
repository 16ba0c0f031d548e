//! `lcm`: to the denoised latent, then noise up to the next level.

use vita_tensor::Tensor;

use super::{Stop, Walk};
use crate::arithmetic::combine;

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let mut noise = walk.step_noise();
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        x = match next > 0.0 {
            true => combine([(next, &noise()), (1.0 - next, &denoised)]),
            false => denoised,
        };
    }
    Ok(x)
}
