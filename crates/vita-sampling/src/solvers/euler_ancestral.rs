//! `euler_ancestral`, in its form for flows: down to a level below the next, then noise back up to it, such
//! that signal and noise add up as the flow wants. All of the step's noise is new (eta 1).

use vita_tensor::Tensor;

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
        let down = next * (next / sigma);
        let (alpha_next, alpha_down) = (1.0 - next, 1.0 - down);
        let renoise = (next * next - (down * alpha_next / alpha_down).powi(2)).max(0.0).sqrt();
        let (keep, scale) = (down / sigma, alpha_next / alpha_down);
        x = combine([(scale * keep, &x), (scale * (1.0 - keep), &denoised), (renoise, &noise())]);
    }
    Ok(x)
}
