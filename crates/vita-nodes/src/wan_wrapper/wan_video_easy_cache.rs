//! `WanVideoEasyCache`: steps that change little are left out.

use super::data::{CacheArgs, CacheKind};
use super::fields::{device, spec};
use crate::prelude::*;

pub struct WanVideoEasyCache;

impl Node for WanVideoEasyCache {
    fn spec(&self) -> Spec {
        let mut spec = spec("WanVideoEasyCache", "WanVideo EasyCache")
            .input("easycache_thresh", float(0.015, 0.0..=1.0, 0.001).tooltip("More leaves out more steps."))
            .input("start_step", int(10, 0..=9999, 1).tooltip("The first step, from 0, that may be left out."))
            .input("end_step", int(-1, -1..=9999, 1).tooltip("The last step that may be left out; -1 is the last of all."))
            .input("cache_device", device("offload_device"))
            .output_named("CACHEARGS", "cache_args")
            .describe("Leaves out steps that would change little, by how much the video changes (EasyCache): faster, and a little different.");
        spec.experimental = true;
        spec
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let kind = CacheKind::Easy { threshold: inputs.float("easycache_thresh")? };
        one(Value::object(CacheArgs::of(kind, inputs)?))
    }
}
