//! `ddpm`: the ancestral rule of Ho et al. (2020), with `1 / (1 + s^2)` as the share of signal.

use vita_tensor::Tensor;

use super::{Stop, Walk};
use crate::arithmetic::combine;

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let mut noise = walk.step_noise();
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        walk.done(i, &denoised)?;
        let (signal, signal_next) = (1.0 / (sigma * sigma + 1.0), 1.0 / (next * next + 1.0));
        let ratio = signal / signal_next;
        // The latent of unit variance, less its noise (x - denoised) / sigma.
        let less = (1.0 - ratio) / ((1.0 - signal).sqrt() * sigma);
        let scale = ratio.sqrt().recip();
        let unit = signal.sqrt();
        let grow = if next == 0.0 { 1.0 } else { (1.0 + next * next).sqrt() };
        x = combine([(grow * scale * (unit - less), &x), (grow * scale * less, &denoised)]);
        if next > 0.0 {
            let spread = ((1.0 - ratio) * (1.0 - signal_next) / (1.0 - signal)).sqrt();
            x = combine([(1.0, &x), (grow * spread, &noise())]);
        }
    }
    Ok(x)
}
