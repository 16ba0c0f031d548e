//! `DisableNoise`: a run that starts from what is there.

use crate::prelude::*;

pub struct DisableNoise;

impl Node for DisableNoise {
    fn spec(&self) -> Spec {
        Spec::new("DisableNoise", "sampling/custom_sampling/noise")
            .module("comfy_extras.nodes_custom_sampler", Style::V3)
            .output("NOISE")
            .describe("No noise is added: the latent has it already.")
    }

    fn run(&self, _: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(NoiseSource::None)
    }
}
