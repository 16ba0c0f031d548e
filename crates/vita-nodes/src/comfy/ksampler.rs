//! `KSampler`: a latent video out of noise.

use vita_pipeline::{Schedule, Steps};

use crate::prelude::*;
use crate::samplers::{Run, run, samplers, schedulers};

pub struct KSampler;

impl Node for KSampler {
    fn spec(&self) -> Spec {
        Spec::new("KSampler", "sampling")
            .display("KSampler")
            .input("model", link("MODEL").tooltip("The model that removes noise."))
            .input("seed", seed().tooltip("Which noise is drawn."))
            .input("steps", whole(20, 1..=10_000).tooltip("Steps from noise to video."))
            .input("cfg", cfg().tooltip("How strongly the prompts lead. At 1 the negative prompt is not looked at."))
            .input("sampler_name", combo(samplers()).tooltip("How a step is taken."))
            .input("scheduler", combo(schedulers()).tooltip("Which noise levels the steps go through."))
            .input("positive", link("CONDITIONING").tooltip("What should be seen."))
            .input("negative", link("CONDITIONING").tooltip("What should not be seen."))
            .input("latent_image", link("LATENT").tooltip("What is started from."))
            .input("denoise", float(1.0, 0.0..=1.0, 0.01).tooltip("Less than 1 keeps something of the latent given."))
            .output("LATENT")
            .describe("Makes a latent video by removing noise, led by prompts.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let seed = inputs.seed("seed")?;
        let steps = Steps {
            denoise: inputs.float("denoise")?,
            ..Steps::new(inputs.text("scheduler")?, inputs.count("steps")?)
        };
        let job = Run {
            guider: Guider {
                model: inputs.object("model")?,
                positive: inputs.object("positive")?,
                negative: Some(inputs.object("negative")?),
                cfg: inputs.float("cfg")?,
            },
            sampler: inputs.text("sampler_name")?,
            schedule: Schedule::Named(steps),
            noise: NoiseSource::Seed(seed),
            seed,
            latents: &*inputs.object::<Latents>("latent_image")?,
        };
        one(run(&job, context)?.0)
    }
}
