//! `WanVideoSamplerSettings`: the inputs of a sampler, for another node to run.

use vita_graph::{Host, Refusal};

use super::fields::spec;
use super::sampling::refusals;
use super::wan_video_sampler::fields;
use crate::prelude::*;

pub struct WanVideoSamplerSettings;

impl Node for WanVideoSamplerSettings {
    fn spec(&self) -> Spec {
        fields(spec("WanVideoSamplerSettings", "WanVideo Sampler Settings"))
            .output_named("SAMPLER_ARGS", "sampler_inputs")
            .describe("Gathers what WanVideoSamplerFromSettings runs.")
    }

    /// The switch has no range and no list to check; the schedule's name is looked at once more.
    fn judges(&self) -> &'static [&'static str] {
        &["force_offload"]
    }

    fn refuse(&self, inputs: &Inputs, _: &dyn Host) -> Vec<Refusal> {
        refusals(inputs)
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::object(inputs.clone()))
    }
}
