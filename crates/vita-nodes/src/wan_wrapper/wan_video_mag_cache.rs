//! `WanVideoMagCache`: steps that change little are left out.

use super::data::{CacheArgs, CacheKind};
use super::fields::{device, spec};
use crate::prelude::*;

pub struct WanVideoMagCache;

impl Node for WanVideoMagCache {
    fn spec(&self) -> Spec {
        let mut spec = spec("WanVideoMagCache", "WanVideo MagCache")
            .input("magcache_thresh", float(0.02, 0.0..=0.3, 0.001).tooltip("More leaves out more steps."))
            .input("magcache_K", int(4, 0..=6, 1).tooltip("Most steps in a row that are left out."))
            .input("start_step", int(1, 0..=9999, 1).tooltip("The first step, from 0, that may be left out."))
            .input("end_step", int(-1, -1..=9999, 1).tooltip("The last step that may be left out; -1 is the last of all."))
            .input("cache_device", device("offload_device"))
            .output_named("CACHEARGS", "cache_args")
            .describe("Leaves out steps that would change little, by ratios measured beforehand (MagCache): faster, and a little different.");
        spec.experimental = true;
        spec
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let (threshold, skips_max) = (inputs.float("magcache_thresh")?, inputs.count("magcache_K")?);
        let kind = CacheKind::Mag { threshold, skips_max };
        one(Value::object(CacheArgs::of(kind, inputs)?))
    }
}
