//! `WanVideoMagCache`: steps that may be left out; none is.

use super::data::Hint;
use super::fields::{device, spec};
use crate::prelude::*;

pub struct WanVideoMagCache;

impl Node for WanVideoMagCache {
    fn spec(&self) -> Spec {
        let none = "Has no meaning here: no step is left out, which takes longer and loses nothing.";
        let mut spec = spec("WanVideoMagCache", "WanVideo MagCache")
            .input("magcache_thresh", float(0.02, 0.0..=0.3, 0.001).tooltip(none))
            .input("magcache_K", int(4, 0..=6, 1).tooltip(none))
            .input("start_step", int(1, 0..=9999, 1).tooltip(none))
            .input("end_step", int(-1, -1..=9999, 1).tooltip(none))
            .input("cache_device", device("offload_device"))
            .output_named("CACHEARGS", "cache_args")
            .describe("In the original, steps that would change little are left out. Here every step is computed.");
        spec.experimental = true;
        spec
    }

    fn run(&self, _: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::object(Hint))
    }
}
