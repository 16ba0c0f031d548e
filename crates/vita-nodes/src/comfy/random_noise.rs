//! `RandomNoise`: noise of a seed.

use crate::prelude::*;

pub struct RandomNoise;

impl Node for RandomNoise {
    fn spec(&self) -> Spec {
        Spec::new("RandomNoise", "sampling/custom_sampling/noise")
            .module("comfy_extras.nodes_custom_sampler", Style::V3)
            .input("noise_seed", seed().tooltip("Which noise is drawn."))
            .output("NOISE")
            .describe("Noise that a run starts from.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(NoiseSource::Seed(inputs.seed("noise_seed")?))
    }
}
