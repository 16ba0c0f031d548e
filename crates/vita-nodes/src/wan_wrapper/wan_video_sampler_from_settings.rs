//! `WanVideoSamplerFromSettings`: a sampler whose inputs another node gathered.

use super::fields::spec;
use super::sampling::sample;
use crate::prelude::*;

pub struct WanVideoSamplerFromSettings;

impl Node for WanVideoSamplerFromSettings {
    fn spec(&self) -> Spec {
        spec("WanVideoSamplerFromSettings", "WanVideo Sampler From Settings")
            .input("sampler_inputs", link("SAMPLER_ARGS").tooltip("What WanVideoSamplerSettings gathered."))
            .output_named("LATENT", "samples")
            .output_named("LATENT", "denoised_samples")
            .describe("Makes a latent video by removing noise, as its settings say.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        sample(&*inputs.object::<Inputs>("sampler_inputs")?, context)
    }
}
