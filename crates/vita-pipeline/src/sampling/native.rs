//! A sampling run as ComfyUI's own nodes do it.

use vita_sampling::noise::Generator;
use vita_sampling::{Denoised, Flow, Run, sample_levels};
use vita_tensor::Tensor;

use super::job::{Noise, Passes, SampleJob, Sampled};
use super::network::{Network, Place, Which, fitting};
use super::noise_mask::NoiseMask;
use super::reuse::Reusing;
use crate::Error;
use crate::environment::Environment;
use crate::extras::{ReusePlace, SkipLayers};
use crate::frame::is_finite;
use crate::guidance::{Cfg, CfgZeroStar, guide, needs_negative, zero_star_scale};
use crate::latent::{Latent, LatentSpace};
use crate::progress::Stage;

/// Runs a job.
///
/// # Errors
/// If the job's parts do not fit each other, the model cannot be loaded or gives no numbers, or the work was
/// cancelled.
pub fn sample(job: &SampleJob, environment: &mut Environment) -> Result<Sampled, Error> {
    let sigmas = job.levels()?;
    let solver = job.solver()?;
    let latent = fitting(&job.latent, &job.model)?;
    let step_count = sigmas.len().saturating_sub(1);
    if step_count == 0 {
        return Ok(Sampled { denoised: latent.clone(), latent, passes: Passes::default() });
    }
    let [_, frames, rows, columns] = latent.sizes()?;
    let start = latent.samples_in(LatentSpace::Normalised)?;
    let noise = job.noise.draw(start.dims())?;
    let needs_negative = job.cfg.needs_negative(step_count) || solver.needs_uncond;
    let negative = match (&job.negative, needs_negative) {
        (Some(negative), true) => Some(negative),
        (None, true) => return Err(Error::NoNegative),
        (_, false) => None,
    };
    let network = Network::load(&job.model, [frames, rows, columns], &job.positive, negative, environment)?;
    network.check_windows(step_count)?;
    let noise = match (noise, network.windows().filter(|windows| windows.free_noise)) {
        (Some(noise), Some(windows)) => Some(windows.shuffle_noise(&noise, &mut Generator::new(job.seed))?),
        (noise, _) => noise,
    };
    let reuse = job.model.patches().reuse_cache;
    if reuse.is_some_and(|reuse| reuse.place == ReusePlace::Velocity) && network.windows().is_some() {
        return Err(Error::CacheInWindows);
    }
    let mask = latent.noise_mask.as_ref().map(|mask| NoiseMask::new(mask, [frames, rows, columns])).transpose()?;
    let flow = Flow::new(job.model.patches().shift())?;
    let mut guided = Guided {
        network: &network,
        cfg: &job.cfg,
        zero_star: job.model.patches().cfg_zero_star,
        skip_layers: job.model.patches().skip_layers.as_ref(),
        reuse: reuse.map(Reusing::new),
        flow,
        levels: &sigmas,
        needs_uncond: solver.needs_uncond,
        mask: mask.map(|mask| Masked {
            mask,
            start: start.clone(),
            noise: noise.clone(),
            has_frame_timesteps: job.model.has_frame_timesteps(),
        }),
    };

    let run = Run { solver, flow, sigmas: sigmas.clone(), seed: job.seed };
    let mut stage = environment.begin(Stage::Sampling, step_count);
    let done = std::cell::Cell::new(0);
    let mut last = None;
    let end = sample_levels(
        run,
        &start,
        noise.as_ref(),
        &mut |x: &Tensor, sigma| guided.denoised(x, sigma, done.get()),
        &mut |step, denoised: &Tensor| {
            if !is_finite(denoised) {
                return Err(Error::NotFinite { step, total: stage.total(), culprit: job.model.broken_tensor() });
            }
            done.set(step);
            environment.step(&mut stage);
            environment.preview(step, || job.model.latent_format().preview(denoised, 0));
            last = Some(denoised.clone());
            environment.check()
        },
    )?;
    environment.end(stage);
    let out = |samples| Latent { noise_mask: latent.noise_mask.clone(), ..Latent::normalised(samples) };
    let denoised = out(last.unwrap_or_else(|| end.clone()));
    Ok(Sampled { latent: out(end), denoised, passes: guided.passes() })
}

/// Denoised latents of noisy ones, guided.
struct Guided<'a> {
    network: &'a Network,
    cfg: &'a Cfg,
    zero_star: Option<CfgZeroStar>,
    skip_layers: Option<&'a SkipLayers>,
    reuse: Option<Reusing>,
    flow: Flow,
    /// One more than steps.
    levels: &'a [f32],
    needs_uncond: bool,
    mask: Option<Masked>,
}

/// What is kept of a latent while the rest is made.
struct Masked {
    mask: NoiseMask,
    start: Tensor,
    noise: Option<Tensor>,
    has_frame_timesteps: bool,
}

impl Guided<'_> {
    fn denoised(&mut self, x: &Tensor, sigma: f32, step: usize) -> Result<Denoised, Error> {
        let Some(masked) = &self.mask else {
            return self.unmasked(x, sigma, &[sigma * Flow::TIMESTEP_MAX], step);
        };
        let timestep = sigma * Flow::TIMESTEP_MAX;
        let (kept, timesteps) = match masked.has_frame_timesteps {
            true => (masked.start.clone(), masked.mask.timesteps(timestep)),
            false => (masked.noisy(sigma), vec![timestep]),
        };
        let x = masked.mask.blend(x, &kept);
        let made = self.unmasked(&x, sigma, &timesteps, step)?;
        let held = |made: &Tensor| masked.mask.blend(made, &masked.start);
        Ok(Denoised { guided: held(&made.guided), uncond: made.uncond })
    }

    fn passes(&self) -> Passes {
        let Passes { asked, skipped } = self.network.passes();
        let reused = self.reuse.as_ref().map_or(0, |reuse| reuse.skipped_passes());
        Passes { asked: asked + reused, skipped: skipped + reused }
    }

    /// `x - sigma v`, guided.
    fn unmasked(&self, x: &Tensor, sigma: f32, timesteps: &[f32], step: usize) -> Result<Denoised, Error> {
        let Some(reuse) = self.reuse.as_ref().filter(|reuse| reuse.is_at(ReusePlace::Guided)) else {
            return self.guided(x, sigma, timesteps, step);
        };
        if self.needs_uncond {
            return Err(Error::CacheOfGuided);
        }
        let passes = 1 + usize::from(needs_negative(self.cfg.at(step)));
        let all = || self.guided(x, sigma, timesteps, step).map(|denoised| denoised.guided);
        let mut answers = reuse.answers(x, self.flow, sigma, [1, passes], &mut |_| all())?;
        Ok(answers.remove(0).into())
    }

    fn guided(&self, x: &Tensor, sigma: f32, timesteps: &[f32], step: usize) -> Result<Denoised, Error> {
        let cfg = self.cfg.at(step);
        let step_count = self.levels.len() - 1;
        let place = Place { step_index: step, step_count, schedule_count: step_count, window: None };
        let of_windows = self.step_of(sigma).unwrap_or(step);
        let moved = |v: &Tensor| vita_ops::combine(&[(1.0, x), (-sigma, v)]);
        let velocity = |which| {
            self.network.in_windows(x, timesteps, of_windows, &mut |x, timesteps, window| {
                self.network.velocity(x, timesteps, which, Place { window, ..place })
            })
        };
        let has_uncond = needs_negative(cfg) || self.needs_uncond;
        // The negative prompt first: of ComfyUI's batch it is the one whose change decides.
        let all = if has_uncond { &[Which::Negative, Which::Positive][..] } else { &[Which::Positive] };
        let mut velocities = match self.reuse.as_ref().filter(|reuse| reuse.is_at(ReusePlace::Velocity)) {
            None => all.iter().map(|&which| velocity(which)).collect::<Result<Vec<_>, _>>()?,
            Some(reuse) => reuse.answers(x, self.flow, sigma, [all.len(), 1], &mut |index| velocity(all[index]))?,
        };
        let cond = moved(&velocities.pop().expect("one for each prompt"));
        let uncond = velocities.pop().map(|v| moved(&v));
        let guided = match (&uncond, self.zero_star) {
            (None, _) => cond.clone(),
            (Some(uncond), None) => guide(&cond, uncond, cfg),
            (Some(uncond), Some(zero)) => zero_star(x, &cond, uncond, cfg, step < zero.zero_steps),
        };
        let guided = match self.skip_layers.filter(|skip| skip.holds(self.flow, sigma)) {
            None => guided,
            Some(skip) => {
                let fewer = self.network.in_windows(x, timesteps, of_windows, &mut |x, timesteps, window| {
                    self.network.velocity_without(&skip.blocks, x, timesteps, Place { window, ..place })
                })?;
                skip.lead(&guided, &cond, &moved(&fewer))
            }
        };
        Ok(Denoised { guided, uncond: uncond.filter(|_| self.needs_uncond) })
    }

    /// The step that begins at a level, if one does. Windows of a solver's levels between are those of the step that
    /// is run; ComfyUI stops there.
    fn step_of(&self, sigma: f32) -> Option<usize> {
        self.levels.iter().position(|level| (level - sigma).abs() <= 1e-8 + 1e-4 * sigma)
    }
}

/// Guidance whose negative answer is scaled, as ComfyUI's `CFGZeroStar` has it: the scale is that of velocities,
/// `(x - D) / sigma`, and what is scaled is the denoised latent.
fn zero_star(x: &Tensor, cond: &Tensor, uncond: &Tensor, cfg: f64, stands_still: bool) -> Tensor {
    if stands_still {
        return x.clone();
    }
    let moved = |denoised: &Tensor| vita_ops::combine(&[(1.0, x), (-1.0, denoised)]);
    let scale = zero_star_scale(&moved(cond), &moved(uncond));
    guide(cond, &vita_ops::combine(&[(scale, uncond)]), cfg)
}

impl Masked {
    /// The kept latent at a noise level: `sigma noise + (1 - sigma) latent`.
    fn noisy(&self, sigma: f32) -> Tensor {
        match &self.noise {
            Some(noise) => vita_ops::combine(&[(sigma, noise), (1.0 - sigma, &self.start)]),
            None => vita_ops::combine(&[(1.0 - sigma, &self.start)]),
        }
    }
}

impl SampleJob {
    /// Whether noise is added to the latent.
    pub fn adds_noise(&self) -> bool {
        !matches!(self.noise, Noise::None)
    }
}
