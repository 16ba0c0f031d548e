//! `KSamplerSelect`: a solver by name.

use crate::prelude::*;
use crate::samplers::samplers;

pub struct KSamplerSelect;

impl Node for KSamplerSelect {
    fn spec(&self) -> Spec {
        Spec::new("KSamplerSelect", "sampling/custom_sampling/samplers")
            .module("comfy_extras.nodes_custom_sampler", Style::V3)
            .input("sampler_name", combo(samplers()).tooltip("How a step is taken."))
            .output("SAMPLER")
            .describe("A solver, for custom sampling.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Sampler { name: inputs.text("sampler_name")?.into() })
    }
}
