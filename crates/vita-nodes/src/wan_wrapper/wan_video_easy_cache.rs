//! `WanVideoEasyCache`: steps that may be left out; none is.

use super::data::Hint;
use super::fields::{device, spec};
use crate::prelude::*;

pub struct WanVideoEasyCache;

impl Node for WanVideoEasyCache {
    fn spec(&self) -> Spec {
        let none = "Has no meaning here: no step is left out, which takes longer and loses nothing.";
        let mut spec = spec("WanVideoEasyCache", "WanVideo EasyCache")
            .input("easycache_thresh", float(0.015, 0.0..=1.0, 0.001).tooltip(none))
            .input("start_step", int(10, 0..=9999, 1).tooltip(none))
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
