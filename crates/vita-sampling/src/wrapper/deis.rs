//! `deis`: exponential integrator of second order (Zhang and Chen, 2022) on `s / (1 - s)`, as diffusers has it;
//! the first step, and the last of fewer than 15, are of first order.

use vita_tensor::Tensor;

use super::Timetable;
use crate::arithmetic::combine;

/// Steps from which on the last is of second order too.
const MANY: usize = 15;

/// before: the noise as predicted in the step before.
pub fn step(before: &mut Option<Tensor>, x: &Tensor, denoised: &Tensor, index: usize, timetable: &Timetable) -> Tensor {
    let level = |index: usize| f64::from(timetable.sigmas[index]);
    let (sigma, next) = (level(index), level(index + 1));
    let (alpha, alpha_next) = (1.0 - sigma, 1.0 - next);
    let noise = combine([(1.0 / sigma, x), (-alpha / sigma, denoised)]);
    let steps = timetable.timesteps.len();
    let old = before.replace(noise.clone());
    match &old {
        Some(old) if index + 1 < steps || steps >= MANY => {
            let rho = |sigma: f64| sigma / (1.0 - sigma);
            let (to, from, earlier) = (rho(next), rho(sigma), rho(level(index - 1)));
            // Integral of the straight line in ln rho that is 1 at b and 0 at c.
            let integral = |at: f64, b: f64, c: f64| at * (at.ln() - c.ln() - 1.0) / (b.ln() - c.ln());
            let now = integral(to, from, earlier) - integral(from, from, earlier);
            let then = integral(to, earlier, from) - integral(from, earlier, from);
            combine([(alpha_next / alpha, x), (alpha_next * now, &noise), (alpha_next * then, old)])
        }
        _ => {
            // e^h - 1 for h = ln((1 - s') / s') - ln((1 - s) / s)
            let growth = (alpha_next / next) * (sigma / alpha) - 1.0;
            combine([(alpha_next / alpha, x), (-next * growth, &noise)])
        }
    }
}
