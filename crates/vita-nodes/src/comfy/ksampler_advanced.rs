//! `KSamplerAdvanced`: some steps of a schedule, as two experts share them.

use vita_pipeline::{Schedule, Steps};

use crate::prelude::*;
use crate::samplers::{Run, run, samplers, schedulers};

pub struct KSamplerAdvanced;

impl Node for KSamplerAdvanced {
    fn spec(&self) -> Spec {
        let leftover = combo(["disable", "enable"]);
        Spec::new("KSamplerAdvanced", "sampling")
            .display("KSampler (Advanced)")
            .input("model", link("MODEL"))
            .input("add_noise", combo(["enable", "disable"]).tooltip("Off where the latent has its noise already."))
            .input("noise_seed", seed().tooltip("Which noise is drawn."))
            .input("steps", whole(20, 1..=10_000).tooltip("Steps of the whole schedule."))
            .input("cfg", cfg().tooltip("How strongly the prompts lead. At 1 the negative prompt is not looked at."))
            .input("sampler_name", combo(samplers()).tooltip("How a step is taken."))
            .input("scheduler", combo(schedulers()).tooltip("Which noise levels the steps go through."))
            .input("positive", link("CONDITIONING"))
            .input("negative", link("CONDITIONING"))
            .input("latent_image", link("LATENT"))
            .input("start_at_step", whole(0, 0..=10_000).tooltip("The first step that is run, from 0."))
            .input("end_at_step", whole(10_000, 0..=10_000).tooltip("The first step that is not run."))
            .input("return_with_leftover_noise", leftover.tooltip("On where another sampler goes on from here."))
            .output("LATENT")
            .describe("Runs some steps of a schedule: one expert the noisy ones, another the rest.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let seed = inputs.seed("noise_seed")?;
        let steps = Steps {
            start_step: inputs.count("start_at_step")?,
            end_step: Some(inputs.count("end_at_step")?),
            leftover_noise: inputs.text("return_with_leftover_noise")? == "enable",
            ..Steps::new(inputs.text("scheduler")?, inputs.count("steps")?)
        };
        let adds_noise = inputs.text("add_noise")? == "enable";
        let job = Run {
            guider: Guider {
                model: inputs.object("model")?,
                positive: inputs.object("positive")?,
                negative: Some(inputs.object("negative")?),
                cfg: inputs.float("cfg")?,
            },
            sampler: inputs.text("sampler_name")?,
            schedule: Schedule::Named(steps),
            noise: if adds_noise { NoiseSource::Seed(seed) } else { NoiseSource::None },
            seed,
            latents: &*inputs.object::<Latents>("latent_image")?,
        };
        one(run(&job, context)?.0)
    }
}
