//! `WanVideoTeaCache`: steps that change little are left out.

use super::data::{CacheArgs, CacheKind, TeaKind};
use super::fields::{OrElse, device, spec};
use crate::prelude::*;

pub struct WanVideoTeaCache;

impl Node for WanVideoTeaCache {
    fn spec(&self) -> Spec {
        spec("WanVideoTeaCache", "WanVideo TeaCache")
            .input("rel_l1_thresh", float(0.3, 0.0..=1.0, 0.001).tooltip("More leaves out more steps."))
            .input("start_step", int(1, 0..=9999, 1).tooltip("The first step, from 0, that may be left out."))
            .input("end_step", int(-1, -1..=9999, 1).tooltip("The last step that may be left out; -1 is the last of all."))
            .input("cache_device", device("offload_device"))
            .input("use_coefficients", switch(true).tooltip("Whether the change is estimated with the model's coefficients."))
            .optional("mode", combo(["e", "e0"]).tooltip("What is looked at: the timestep's embedding, or the modulation."))
            .output_named("CACHEARGS", "cache_args")
            .describe("Leaves out steps that would change little, by how much the timestep changes (TeaCache): faster, and a little different.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let measure = match (inputs.bool("use_coefficients")?, inputs.text_or("mode", "e")?) {
            (false, _) => TeaKind::Plain,
            (true, "e0") => TeaKind::Modulation,
            (true, _) => TeaKind::Embedding,
        };
        let kind = CacheKind::Tea { threshold: inputs.float("rel_l1_thresh")?, measure };
        one(Value::object(CacheArgs::of(kind, inputs)?))
    }
}
