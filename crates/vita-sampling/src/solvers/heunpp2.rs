//! `heunpp2`: Heun++ (diff-sampler): directions at this level and the next one or two, weighted by their levels.

use vita_tensor::Tensor;

use super::{Stop, Walk, euler};
use crate::arithmetic::{combine, direction};

pub fn run(walk: &mut Walk, mut x: Tensor) -> Result<Tensor, Stop> {
    let first = f64::from(walk.sigmas[0]);
    let end = walk.sigmas[walk.step_count()];
    for i in 0..walk.step_count() {
        let (sigma, next) = walk.levels(i);
        let denoised = walk.denoise(&x, sigma)?;
        let d = direction(&x, &denoised, sigma);
        let ahead = euler::step(&x, &d, sigma, next);
        let length = next - sigma;
        x = if walk.sigmas[i + 1] == end {
            ahead
        } else {
            let d2 = direction(&ahead, &walk.denoise(&ahead, next)?, next);
            let after = f64::from(walk.sigmas[i + 2]);
            if walk.sigmas[i + 2] == end {
                let w2 = next / (2.0 * first);
                combine([(1.0, &x), (length * (1.0 - w2), &d), (length * w2, &d2)])
            } else {
                let further = euler::step(&ahead, &d2, next, after);
                let d3 = direction(&further, &walk.denoise(&further, after)?, after);
                let (w2, w3) = (next / (3.0 * first), after / (3.0 * first));
                combine([(1.0, &x), (length * (1.0 - w2 - w3), &d), (length * w2, &d2), (length * w3, &d3)])
            }
        };
        walk.done(i, &denoised)?;
    }
    Ok(x)
}
