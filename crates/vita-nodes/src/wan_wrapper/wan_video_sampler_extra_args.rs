//! `WanVideoSamplerExtraArgs`: the rarer inputs of the second form of the sampler.

use super::fields::spec;
use super::sampling::FOREIGN;
use super::wan_video_sampler::{riflex, rope_function};
use crate::prelude::*;

pub struct WanVideoSamplerExtraArgs;

impl Node for WanVideoSamplerExtraArgs {
    fn spec(&self) -> Spec {
        let spec = spec("WanVideoSamplerExtraArgs", "WanVideo Sampler Extra Args")
            .optional("riflex_freq_index", riflex())
            .optional("feta_args", link("FETAARGS"))
            .optional("context_options", link("WANVIDCONTEXT"))
            .optional("cache_args", link("CACHEARGS"))
            .optional("slg_args", link("SLGARGS"))
            .optional("rope_function", rope_function())
            .optional("loop_args", link("LOOPARGS"))
            .optional("experimental_args", link("EXPERIMENTALARGS"));
        let foreign = FOREIGN.into_iter().filter(|(name, ..)| *name != "freeinit_args");
        foreign
            .fold(spec, |spec, (name, kind, _)| spec.optional(name, link(kind).tooltip("Is refused: not built in.")))
            .output_named("WANVIDSAMPLEREXTRAARGS", "extra_args")
            .describe("Gathers the rarer settings of WanVideoSamplerv2.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::object(inputs.clone()))
    }
}
