//! `euler_ancestral`, in its form for flows: down to a level below the next, then noise back up to it, such
//! that signal and noise add up as the flow wants. All of the step's noise is new (eta 1).

use vita_tensor::Tensor;

use super::ancestral::Renoise;
use super::{Stop, Walk};
use crate::arithmetic::combine;

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let mut noise = walk.step_noise();
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        if next == 0.0 {
            x = denoised;
            continue;
        }
        let Renoise { down, scale, noise: renoise } = Renoise::of_flow(sigma, next);
        let keep = down / sigma;
        x = combine([(scale * keep, &x), (scale * (1.0 - keep), &denoised), (renoise, &noise())]);
    }
    Ok(x)
}
