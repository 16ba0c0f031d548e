//! `WanVideoEnhanceAVideo`: more attention from frame to frame.

use vita_pipeline::{Enhance, Span};

use super::fields::spec;
use crate::prelude::*;

pub struct WanVideoEnhanceAVideo;

impl Node for WanVideoEnhanceAVideo {
    fn spec(&self) -> Spec {
        let share = |default, tooltip| float(default, 0.0..=1.0, 0.01).tooltip(tooltip);
        spec("WanVideoEnhanceAVideo", "WanVideo Enhance-A-Video")
            .input("weight", float(2.0, 0.0..=100.0, 0.01).tooltip("How much more."))
            .input("start_percent", share(0.0, "Share of the steps after which it begins."))
            .input("end_percent", share(1.0, "Share of the steps after which it ends."))
            .output_named("FETAARGS", "feta_args")
            .describe("Strengthens what frames have in common.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let span = Span { start: inputs.float("start_percent")?, end: inputs.float("end_percent")? };
        one(Value::object(Enhance { weight: inputs.float("weight")? as f32, span }))
    }
}
