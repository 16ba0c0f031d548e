//! `SamplerCustom`: sampling with a solver and noise levels of one's own.

use vita_pipeline::Schedule;

use crate::prelude::*;
use crate::samplers::{Run, run};

pub struct SamplerCustom;

impl Node for SamplerCustom {
    fn spec(&self) -> Spec {
        Spec::new("SamplerCustom", "sampling/custom_sampling")
            .module("comfy_extras.nodes_custom_sampler", Style::V3)
            .input("model", link("MODEL"))
            .input("add_noise", switch(true).tooltip("Off where the latent has its noise already."))
            .input("noise_seed", seed().tooltip("Which noise is drawn."))
            .input("cfg", cfg().tooltip("How strongly the prompts lead."))
            .input("positive", link("CONDITIONING"))
            .input("negative", link("CONDITIONING"))
            .input("sampler", link("SAMPLER"))
            .input("sigmas", link("SIGMAS"))
            .input("latent_image", link("LATENT"))
            .output_named("LATENT", "output")
            .output_named("LATENT", "denoised_output")
            .describe("Makes a latent video with a given solver and given noise levels.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let seed = inputs.seed("noise_seed")?;
        let (output, denoised) = run(
            &Run {
                guider: Guider {
                    model: inputs.object("model")?,
                    positive: inputs.object("positive")?,
                    negative: Some(inputs.object("negative")?),
                    cfg: inputs.float("cfg")?,
                },
                sampler: &inputs.object::<Sampler>("sampler")?.name,
                schedule: Schedule::Sigmas(inputs.object::<Sigmas>("sigmas")?.0.clone()),
                noise: if inputs.bool("add_noise")? { NoiseSource::Seed(seed) } else { NoiseSource::None },
                seed,
                latents: &*inputs.object::<Latents>("latent_image")?,
            },
            context,
        )?;
        Ok(Outputs::values([output.into(), denoised.into()]))
    }
}
