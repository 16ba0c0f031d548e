//! Names of solvers and schedules, and the runs of the sampling nodes.

use vita_graph::{Context, NodeError};
use vita_pipeline::{Cfg, Noise, SampleJob, Sampled, Schedule, Stage, sample};
use vita_sampling::{SCHEDULERS, SOLVERS};

use crate::data::{Guider, Latents, NoiseSource};
use crate::work::{Part, run_part};

/// Names of the solvers.
pub(crate) fn samplers() -> impl Iterator<Item = &'static str> {
    SOLVERS.iter().map(|solver| solver.name)
}

/// Names of the schedules.
pub(crate) fn schedulers() -> impl Iterator<Item = &'static str> {
    SCHEDULERS.iter().map(|scheduler| scheduler.name)
}

/// A sampling run of a batch.
pub(crate) struct Run<'a> {
    pub guider: Guider,
    pub sampler: &'a str,
    pub schedule: Schedule,
    pub noise: NoiseSource,
    /// Of the noise of single steps.
    pub seed: u64,
    pub latents: &'a Latents,
}

/// Samples each latent of a batch, and gives what came out and the denoised latents of the last steps.
///
/// # Errors
/// As the pipeline's `sample`.
pub(crate) fn run(run: &Run<'_>, context: &mut Context<'_>) -> Result<(Latents, Latents), NodeError> {
    let items = run.latents.items();
    let count = items.len();
    let mut done: Vec<Sampled> = Vec::with_capacity(count);
    for (index, latent) in items.iter().enumerate() {
        let noise = match run.noise {
            NoiseSource::None => Noise::None,
            NoiseSource::Seed(seed) if count == 1 => Noise::Seed(seed),
            NoiseSource::Seed(seed) => Noise::OfBatch { seed, index, count },
        };
        let Guider { model, positive, negative, cfg } = &run.guider;
        let job = SampleJob {
            model: (**model).clone(),
            positive: (**positive).clone(),
            negative: negative.as_deref().cloned(),
            cfg: Cfg::Constant(*cfg),
            sampler: run.sampler.into(),
            schedule: run.schedule.clone(),
            noise,
            seed: run.seed,
            latent: latent.clone(),
        };
        let part = Part { stage: Stage::Sampling, index, count };
        done.push(run_part(context, part, |environment| sample(&job, environment))?);
    }
    let denoised = done.iter().map(|sampled| sampled.denoised.clone()).collect();
    Ok((Latents::new(done.into_iter().map(|sampled| sampled.latent).collect()), Latents::new(denoised)))
}
