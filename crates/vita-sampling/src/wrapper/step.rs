//! How one step goes, and what a solver remembers of those before.

use vita_tensor::Tensor;

use super::{Timetable, deis, dpmpp, uni_pc};
use crate::arithmetic::{combine, direction};

/// A solver of the wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    UniPc,
    Dpmpp,
    DpmppSde,
    Euler,
    Deis,
    Lcm,
    ResMultistep,
}

/// A solver in the middle of a run.
pub(super) enum Solver {
    UniPc(uni_pc::Past),
    /// The denoised latent before.
    Dpmpp(Option<Tensor>),
    DpmppSde(Option<Tensor>),
    Euler,
    /// The noise, as predicted before.
    Deis(Option<Tensor>),
    Lcm,
    ResMultistep(Option<Tensor>),
}

impl Rule {
    pub fn solver(self) -> Solver {
        match self {
            Self::UniPc => Solver::UniPc(uni_pc::Past::default()),
            Self::Dpmpp => Solver::Dpmpp(None),
            Self::DpmppSde => Solver::DpmppSde(None),
            Self::Euler => Solver::Euler,
            Self::Deis => Solver::Deis(None),
            Self::Lcm => Solver::Lcm,
            Self::ResMultistep => Solver::ResMultistep(None),
        }
    }
}

impl Solver {
    /// x and denoised: at level `index`; returns the latent at the next level.
    pub fn step(
        &mut self,
        x: &Tensor,
        denoised: &Tensor,
        index: usize,
        timetable: &Timetable,
        noise: &mut dyn FnMut() -> Tensor,
    ) -> Tensor {
        let sigmas = &timetable.sigmas;
        let (sigma, next) = (f64::from(sigmas[index]), f64::from(sigmas[index + 1]));
        match self {
            Self::UniPc(past) => past.step(x, denoised, index, timetable),
            Self::Dpmpp(before) => dpmpp::step(before, x, denoised, index, timetable, None),
            Self::DpmppSde(before) => dpmpp::step(before, x, denoised, index, timetable, Some(noise())),
            Self::Euler => combine([(1.0, x), (next - sigma, &direction(x, denoised, sigma))]),
            Self::Deis(before) => deis::step(before, x, denoised, index, timetable),
            Self::Lcm if index + 1 < timetable.timesteps.len() => combine([(1.0 - next, denoised), (next, &noise())]),
            Self::Lcm => denoised.clone(),
            Self::ResMultistep(before) => {
                let old = before.replace(denoised.clone());
                res_multistep(x, denoised, old.as_ref(), index, sigmas)
            }
        }
    }
}

/// The rule of ComfyUI's `res_multistep` without noise.
fn res_multistep(x: &Tensor, denoised: &Tensor, old: Option<&Tensor>, index: usize, sigmas: &[f32]) -> Tensor {
    let (sigma, next) = (f64::from(sigmas[index]), f64::from(sigmas[index + 1]));
    match old {
        Some(old) if next > 0.0 => {
            let h = sigma.ln() - next.ln();
            let c2 = (sigma.ln() - f64::from(sigmas[index - 1]).ln()) / h;
            let phi1 = (-h).exp_m1() / -h;
            let phi2 = (phi1 - 1.0) / -h;
            let [b1, b2] = [phi1 - phi2 / c2, phi2 / c2].map(|b| if b.is_nan() { 0.0 } else { b });
            combine([((-h).exp(), x), (h * b1, denoised), (h * b2, old)])
        }
        _ => combine([(1.0, x), (next - sigma, &direction(x, denoised, sigma))]),
    }
}
