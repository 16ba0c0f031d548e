//! `WanVideoTeaCache`: steps that may be left out; none is.

use super::data::Hint;
use super::fields::{device, spec};
use crate::prelude::*;

pub struct WanVideoTeaCache;

impl Node for WanVideoTeaCache {
    fn spec(&self) -> Spec {
        let none = "Has no meaning here: no step is left out, which takes longer and loses nothing.";
        spec("WanVideoTeaCache", "WanVideo TeaCache")
            .input("rel_l1_thresh", float(0.3, 0.0..=1.0, 0.001).tooltip(none))
            .input("start_step", int(1, 0..=9999, 1).tooltip(none))
            .input("end_step", int(-1, -1..=9999, 1).tooltip(none))
            .input("cache_device", device("offload_device"))
            .input("use_coefficients", switch(true).tooltip(none))
            .optional("mode", combo(["e", "e0"]).tooltip(none))
            .output_named("CACHEARGS", "cache_args")
            .describe("In the original, steps that would change little are left out. Here every step is computed.")
    }

    fn run(&self, _: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::object(Hint))
    }
}
