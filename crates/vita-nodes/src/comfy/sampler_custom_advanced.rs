//! `SamplerCustomAdvanced`: sampling of which every part is a node.

use vita_pipeline::Schedule;

use crate::prelude::*;
use crate::samplers::{Run, run};

pub struct SamplerCustomAdvanced;

impl Node for SamplerCustomAdvanced {
    fn spec(&self) -> Spec {
        Spec::new("SamplerCustomAdvanced", "sampling/custom_sampling")
            .module("comfy_extras.nodes_custom_sampler", Style::V3)
            .input("noise", link("NOISE"))
            .input("guider", link("GUIDER"))
            .input("sampler", link("SAMPLER"))
            .input("sigmas", link("SIGMAS"))
            .input("latent_image", link("LATENT"))
            .output_named("LATENT", "output")
            .output_named("LATENT", "denoised_output")
            .describe("Makes a latent video with given noise, guidance, solver and noise levels.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let noise = *inputs.object::<NoiseSource>("noise")?;
        let (output, denoised) = run(
            &Run {
                guider: (*inputs.object::<Guider>("guider")?).clone(),
                sampler: &inputs.object::<Sampler>("sampler")?.name,
                schedule: Schedule::Sigmas(inputs.object::<Sigmas>("sigmas")?.0.clone()),
                noise,
                seed: if let NoiseSource::Seed(seed) = noise { seed } else { 0 },
                latents: &*inputs.object::<Latents>("latent_image")?,
            },
            context,
        )?;
        Ok(Outputs::values([output.into(), denoised.into()]))
    }
}
