//! Solvers: how a latent goes from one noise level to the next.
//!
//! A solver is a function of a [`Walk`]; its file gives the rule. `s` is the current level, `s'` the next,
//! `D` the denoised latent, `d = (x - D) / s`.

mod ancestral;
mod deis;
mod dpm_2;
mod dpmpp_2m;
mod dpmpp_2m_sde;
mod dpmpp_sde;
mod euler;
mod euler_ancestral;
mod heun;
mod lcm;
mod res_multistep;
mod uni_pc;

use vita_tensor::{Dims, Tensor};

use crate::noise::{BrownianTree, Generator};
use crate::{Error, Flow};

/// Goes from a latent at the walk's first level to one at its last.
type Rule = fn(&mut Walk, Tensor) -> Result<Tensor, Stop>;

/// A solver by name.
pub struct Solver {
    /// ComfyUI's name.
    pub name: &'static str,
    /// Whether one more level is scheduled and the second-to-last one dropped, as suits solvers that would
    /// otherwise take a tiny last step.
    pub drops_penultimate: bool,
    /// What a final level of 0 becomes.
    pub(crate) last_sigma: f32,
    /// Fewest steps that it is defined for.
    pub(crate) steps_min: usize,
    pub(crate) run: Rule,
}

impl Solver {
    const fn plain(name: &'static str, run: Rule) -> Self {
        Self { name, drops_penultimate: false, last_sigma: 0.0, steps_min: 1, run }
    }

    const fn uni_pc(name: &'static str, run: Rule) -> Self {
        Self { name, drops_penultimate: true, last_sigma: 0.001, steps_min: 2, run }
    }

    /// The solver of a name.
    ///
    /// # Errors
    /// If there is none; the hint lists those there are.
    pub fn named(name: &str) -> Result<&'static Self, Error> {
        let found = SOLVERS.iter().find(|solver| solver.name == name);
        found.ok_or_else(|| Error::UnknownSampler { name: name.into() })
    }
}

/// Every solver, in ComfyUI's order.
pub const SOLVERS: &[Solver] = &[
    Solver::plain("euler", euler::run),
    Solver::plain("euler_ancestral", euler_ancestral::run),
    Solver::plain("heun", heun::run),
    Solver { drops_penultimate: true, ..Solver::plain("dpm_2", dpm_2::run) },
    Solver::plain("dpmpp_sde", dpmpp_sde::run),
    Solver::plain("dpmpp_2m", dpmpp_2m::run),
    Solver::plain("dpmpp_2m_sde", dpmpp_2m_sde::run),
    Solver::plain("lcm", lcm::run),
    Solver::plain("deis", deis::run),
    Solver::plain("res_multistep", res_multistep::run),
    // Differs from Euler's only where a part of the latent is kept.
    Solver::plain("ddim", euler::run),
    Solver::uni_pc("uni_pc", uni_pc::bh1),
    Solver::uni_pc("uni_pc_bh2", uni_pc::bh2),
];

/// The model or the caller ended the run; why is kept outside.
#[derive(Debug)]
pub(crate) struct Stop;

/// The way that a solver goes: its levels, and the model and the noise at hand.
pub(crate) struct Walk<'a> {
    /// From the highest level to the last.
    pub sigmas: Vec<f32>,
    /// Shape of the latent.
    pub dims: Dims,
    pub seed: u64,
    pub flow: Flow,
    /// Denoised latent of a noisy one at a level.
    pub model: &'a mut dyn FnMut(&Tensor, f32) -> Result<Tensor, Stop>,
    /// Told after each step: steps done, and its denoised latent.
    pub on_step: &'a mut dyn FnMut(usize, &Tensor) -> Result<(), Stop>,
}

impl Walk<'_> {
    /// Number of steps.
    fn step_count(&self) -> usize {
        self.sigmas.len() - 1
    }

    /// The levels that step `index` goes from and to.
    fn levels(&self, index: usize) -> (f64, f64) {
        (self.sigmas[index].into(), self.sigmas[index + 1].into())
    }

    fn denoise(&mut self, x: &Tensor, sigma: f64) -> Result<Tensor, Stop> {
        let denoised = (self.model)(x, sigma as f32)?;
        assert_eq!(denoised.dims(), self.dims, "a denoised latent has the noisy one's shape");
        Ok(if denoised.is_contiguous() { denoised } else { denoised.to_contiguous_f32() })
    }

    fn done(&mut self, index: usize, denoised: &Tensor) -> Result<(), Stop> {
        (self.on_step)(index + 1, denoised)
    }

    /// Noise of single steps: a generator of its own, one draw of the whole latent a step.
    fn step_noise(&self) -> impl FnMut() -> Tensor + use<> {
        let (mut generator, dims) = (Generator::new(self.seed.wrapping_add(1)), self.dims);
        move || generator.randn(dims)
    }

    /// Level 1 has no signal, and `ln((1 - s) / s)` no value there: such a first level becomes the one a
    /// ten-thousandth of the way below.
    fn start_below_one(&mut self) {
        if self.sigmas[0] >= 1.0 {
            self.sigmas[0] = self.flow.sigma_at_percent(1e-4);
        }
    }

    /// Noise of a Brownian path over the levels of the schedule.
    fn brownian(&self) -> BrownianTree {
        let levels = self.sigmas.iter().copied();
        let min = levels.clone().filter(|&sigma| sigma > 0.0).fold(f32::INFINITY, f32::min);
        BrownianTree::new(self.seed, self.dims, min, levels.fold(0.0, f32::max))
    }
}

/// `ln((1 - s) / s)`: the logarithm of signal over noise.
fn log_snr(sigma: f64) -> f64 {
    ((1.0 - sigma) / sigma).ln()
}
