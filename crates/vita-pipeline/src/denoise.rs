//! The denoising loop: a solver of `vita-sampling` around a transformer and its guidance.

use vita_sampling::{Flow, SampleOptions, levels, sample};
use vita_tensor::Tensor;

use crate::Error;
use crate::guidance::{guide, needs_negative};
use crate::request::TextToVideo;

/// The transformer: velocity `[C, T, H, W]` of a noisy latent at a timestep, with the prompt or (`true`) the
/// negative prompt.
pub(crate) type Velocity<'a> = dyn FnMut(&Tensor, f32, bool) -> Result<Tensor, Error> + 'a;

/// A run that is checked and ready.
pub(crate) struct Denoise {
    options: SampleOptions,
    cfg: f64,
    /// Channels are the model's.
    latent: [usize; 3],
    step_count: usize,
}

impl Denoise {
    /// # Errors
    /// If a name is unknown or a number is out of range.
    pub fn new(request: &TextToVideo) -> Result<Self, Error> {
        let asked = &request.sampling;
        let options = SampleOptions::new(&asked.sampler, &asked.scheduler, asked.steps, asked.shift, asked.seed);
        let step_count = levels(&options)?.len().saturating_sub(1);
        let [_, frames, rows, columns] = request.latent_dims(0);
        Ok(Self { options, cfg: asked.cfg, latent: [frames, rows, columns], step_count })
    }

    /// Steps that will be reported.
    pub fn step_count(&self) -> usize {
        self.step_count
    }

    /// The denoised latent `[channels, T, H, W]`, on the transformer's scale.
    pub fn run(
        &self,
        channels: usize,
        velocity: &mut Velocity,
        on_step: &mut dyn FnMut(usize, &Tensor) -> Result<(), Error>,
    ) -> Result<Tensor, Error> {
        let [frames, rows, columns] = self.latent;
        let empty = Tensor::zeros([channels, frames, rows, columns]);
        let cfg = self.cfg;
        let mut model = |x: &Tensor, sigma: f32| denoised(x, sigma, cfg, velocity);
        sample(&self.options, &empty, &mut model, on_step)
    }
}

/// `x - sigma v`, guided.
pub(crate) fn denoised(x: &Tensor, sigma: f32, cfg: f64, velocity: &mut Velocity) -> Result<Tensor, Error> {
    let timestep = sigma * Flow::TIMESTEP_MAX;
    let mut one = |use_negative| -> Result<Tensor, Error> {
        let v = velocity(x, timestep, use_negative)?;
        Ok(vita_ops::combine(&[(1.0, x), (-sigma, &v)]))
    };
    let cond = one(false)?;
    match needs_negative(cfg) {
        true => Ok(guide(&cond, &one(true)?, cfg)),
        false => Ok(cond),
    }
}
