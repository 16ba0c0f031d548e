//! `dpm++` and `dpm++_sde`: DPM-Solver++ (Lu et al., 2022) of second order in its midpoint form, on
//! `ln((1 - s) / s)`; the first and the last step are of first order.

use vita_tensor::Tensor;

use super::Timetable;
use crate::arithmetic::combine;
use crate::solvers::log_snr;

/// before: the denoised latent of the step before. noise: of the stochastic form.
pub fn step(
    before: &mut Option<Tensor>,
    x: &Tensor,
    denoised: &Tensor,
    index: usize,
    timetable: &Timetable,
    noise: Option<Tensor>,
) -> Tensor {
    let level = |index: usize| f64::from(timetable.sigmas[index]);
    let (sigma, next) = (level(index), level(index + 1));
    let h = log_snr(next) - log_snr(sigma);
    let alpha = 1.0 - next;
    let (keep, gain) = match noise {
        None => (next / sigma, -alpha * (-h).exp_m1()),
        Some(_) => (next / sigma * (-h).exp(), -alpha * (-2.0 * h).exp_m1()),
    };
    let old = before.replace(denoised.clone());
    let is_last = index + 1 == timetable.timesteps.len();
    let mut out = match &old {
        Some(old) if !is_last => {
            let bend = 0.5 * gain * h / (log_snr(sigma) - log_snr(level(index - 1)));
            combine([(keep, x), (gain + bend, denoised), (-bend, old)])
        }
        _ => combine([(keep, x), (gain, denoised)]),
    };
    if let Some(noise) = noise {
        out = combine([(1.0, &out), (next * (-(-2.0 * h).exp_m1()).sqrt(), &noise)]);
    }
    out
}
