//! How one step goes, and what a solver remembers of those before.

use vita_tensor::Tensor;

use super::{Timetable, deis, dpmpp, er_sde, sa_ode, uni_pc};
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
    ErSde,
    SaOde,
    Rcm,
    Vibt,
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
    ErSde(er_sde::Past),
    SaOde(sa_ode::Past),
    Rcm,
    Vibt,
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
            Self::ErSde => Solver::ErSde(er_sde::Past::default()),
            Self::SaOde => Solver::SaOde(sa_ode::Past::default()),
            Self::Rcm => Solver::Rcm,
            Self::Vibt => Solver::Vibt,
        }
    }

    /// What a latent outside a run is multiplied by inside it. `rcm` goes along a circle (`cos(t) x0 + sin(t) noise`,
    /// NVIDIA's rCM), and its model sees the flow's straight line between the same points.
    pub fn latent_scale(self, sigma: f64) -> f64 {
        if self == Self::Rcm { sigma.hypot(1.0 - sigma) } else { 1.0 }
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
            Self::ErSde(past) => past.step(x, denoised, index, sigmas, noise),
            Self::SaOde(past) => past.step(x, denoised, index, timetable),
            Self::Rcm if next > 0.0 => combine([(1.0 - next, denoised), (next, &noise())]),
            Self::Rcm => denoised.clone(),
            Self::Vibt => vibt(x, &direction(x, denoised, sigma), index, &timetable.timesteps, &noise()),
        }
    }
}

/// A Brownian bridge's step (ViBT, Tan et al., 2025) to the next smaller timestep, and from the last one to the end.
fn vibt(x: &Tensor, velocity: &Tensor, index: usize, timesteps: &[f32], noise: &Tensor) -> Tensor {
    let now = f64::from(timesteps[index]);
    let later = timesteps.iter().map(|&timestep| f64::from(timestep)).filter(|&timestep| timestep < now);
    let next = later.fold(-1.0, f64::max);
    let (from, to) = ((now + 1.0) / 1000.0, (next + 1.0) / 1000.0);
    let spread = ((from - to) * to / from).sqrt();
    combine([(1.0, x), (to - from, velocity), (spread, noise)])
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
