//! Solvers: how a latent goes from one noise level to the next.
//!
//! A solver is a function of a [`Walk`]; its file gives the rule. `s` is the current level, `s'` the next,
//! `D` the denoised latent, `d = (x - D) / s`.

mod ancestral;
mod cfg_pp;
mod ddpm;
mod deis;
mod dpm_2;
mod dpm_2_ancestral;
mod dpm_solver;
mod dpmpp_2m;
mod dpmpp_2m_sde;
mod dpmpp_2s_ancestral;
mod dpmpp_3m_sde;
mod dpmpp_sde;
pub(crate) mod er_sde;
mod euler;
mod euler_ancestral;
mod gradient_estimation;
mod heun;
mod heunpp2;
mod ipndm;
mod lcm;
mod lms;
mod res_multistep;
mod sa_solver;
mod seeds_2;
mod seeds_3;
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
    /// Whether it goes by the unconditional latent too (CFG++), which then is wanted at any guidance.
    pub needs_uncond: bool,
    pub(crate) run: Rule,
}

impl Solver {
    const fn plain(name: &'static str, run: Rule) -> Self {
        Self { name, drops_penultimate: false, last_sigma: 0.0, steps_min: 1, needs_uncond: false, run }
    }

    const fn guided(name: &'static str, run: Rule) -> Self {
        Self { needs_uncond: true, ..Self::plain(name, run) }
    }

    const fn uni_pc(name: &'static str, run: Rule) -> Self {
        Self { drops_penultimate: true, last_sigma: 0.001, steps_min: 2, ..Self::plain(name, run) }
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

/// Every solver, in ComfyUI's order. The `_gpu` ones differ only where noise is drawn on a GPU.
pub const SOLVERS: &[Solver] = &[
    Solver::plain("euler", euler::run),
    Solver::guided("euler_cfg_pp", cfg_pp::euler),
    Solver::plain("euler_ancestral", euler_ancestral::run),
    Solver::guided("euler_ancestral_cfg_pp", cfg_pp::ancestral),
    Solver::plain("heun", heun::run),
    Solver::plain("heunpp2", heunpp2::run),
    Solver::plain("exp_heun_2_x0", seeds_2::exp_heun),
    Solver::plain("exp_heun_2_x0_sde", seeds_2::exp_heun_sde),
    Solver { drops_penultimate: true, ..Solver::plain("dpm_2", dpm_2::run) },
    Solver { drops_penultimate: true, ..Solver::plain("dpm_2_ancestral", dpm_2_ancestral::run) },
    Solver::plain("lms", lms::run),
    Solver { steps_min: 2, ..Solver::plain("dpm_fast", dpm_solver::fast) },
    Solver { steps_min: 2, ..Solver::plain("dpm_adaptive", dpm_solver::adaptive) },
    Solver::plain("dpmpp_2s_ancestral", dpmpp_2s_ancestral::run),
    Solver::guided("dpmpp_2s_ancestral_cfg_pp", dpmpp_2s_ancestral::cfg_pp),
    Solver::plain("dpmpp_sde", dpmpp_sde::run),
    Solver::plain("dpmpp_sde_gpu", dpmpp_sde::run),
    Solver::plain("dpmpp_2m", dpmpp_2m::run),
    Solver::guided("dpmpp_2m_cfg_pp", dpmpp_2m::cfg_pp),
    Solver::plain("dpmpp_2m_sde", dpmpp_2m_sde::midpoint),
    Solver::plain("dpmpp_2m_sde_gpu", dpmpp_2m_sde::midpoint),
    Solver::plain("dpmpp_2m_sde_heun", dpmpp_2m_sde::heun),
    Solver::plain("dpmpp_2m_sde_heun_gpu", dpmpp_2m_sde::heun),
    Solver::plain("dpmpp_3m_sde", dpmpp_3m_sde::run),
    Solver::plain("dpmpp_3m_sde_gpu", dpmpp_3m_sde::run),
    Solver::plain("ddpm", ddpm::run),
    Solver::plain("lcm", lcm::run),
    Solver::plain("ipndm", ipndm::equal),
    Solver::plain("ipndm_v", ipndm::variable),
    Solver::plain("deis", deis::run),
    Solver::plain("res_multistep", res_multistep::plain),
    Solver::guided("res_multistep_cfg_pp", res_multistep::cfg_pp),
    Solver::plain("res_multistep_ancestral", res_multistep::ancestral),
    Solver::guided("res_multistep_ancestral_cfg_pp", res_multistep::ancestral_cfg_pp),
    Solver::plain("gradient_estimation", gradient_estimation::plain),
    Solver::guided("gradient_estimation_cfg_pp", gradient_estimation::cfg_pp),
    Solver::plain("er_sde", er_sde::run),
    Solver::plain("seeds_2", seeds_2::seeds_2),
    Solver::plain("seeds_3", seeds_3::run),
    Solver::plain("sa_solver", sa_solver::plain),
    Solver::plain("sa_solver_pece", sa_solver::pece),
    // Differs from Euler's only where a part of the latent is kept.
    Solver::plain("ddim", euler::run),
    Solver::uni_pc("uni_pc", uni_pc::bh1),
    Solver::uni_pc("uni_pc_bh2", uni_pc::bh2),
];

/// The model or the caller ended the run; why is kept outside.
#[derive(Debug)]
pub(crate) struct Stop;

/// What a model says of a noisy latent.
#[derive(Clone, Debug)]
pub struct Denoised {
    /// The denoised latent, guided.
    pub guided: Tensor,
    /// The denoised latent of the negative prompt alone, where the solver asks for it.
    pub uncond: Option<Tensor>,
}

impl From<Tensor> for Denoised {
    fn from(guided: Tensor) -> Self {
        Self { guided, uncond: None }
    }
}

/// The way that a solver goes: its levels, and the model and the noise at hand.
pub(crate) struct Walk<'a> {
    /// From the highest level to the last.
    pub sigmas: Vec<f32>,
    /// Shape of the latent.
    pub dims: Dims,
    pub seed: u64,
    pub flow: Flow,
    /// Denoised latent of a noisy one at a level.
    pub model: &'a mut dyn FnMut(&Tensor, f32) -> Result<Denoised, Stop>,
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
        let denoised = (self.model)(x, sigma as f32)?.guided;
        Ok(self.checked(denoised))
    }

    /// The guided denoised latent, and the one of the negative prompt alone.
    fn denoise_pair(&mut self, x: &Tensor, sigma: f64) -> Result<(Tensor, Tensor), Stop> {
        let Denoised { guided, uncond } = (self.model)(x, sigma as f32)?;
        let uncond = uncond.expect("a model gives what the solver says it needs");
        Ok((self.checked(guided), self.checked(uncond)))
    }

    fn checked(&self, denoised: Tensor) -> Tensor {
        assert_eq!(denoised.dims(), self.dims, "a denoised latent has the noisy one's shape");
        if denoised.is_contiguous() { denoised } else { denoised.to_contiguous_f32() }
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
pub(crate) fn log_snr(sigma: f64) -> f64 {
    ((1.0 - sigma) / sigma).ln()
}

/// The level of a `ln((1 - s) / s)`.
fn sigma_of_log_snr(log_snr: f64) -> f64 {
    1.0 / (log_snr.exp() + 1.0)
}
