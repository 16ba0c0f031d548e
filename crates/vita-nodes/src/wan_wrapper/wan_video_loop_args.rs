//! `WanVideoLoopArgs`: a video whose end meets its beginning.

use vita_pipeline::{LoopShift, Span};

use super::fields::spec;
use crate::prelude::*;

pub struct WanVideoLoopArgs;

impl Node for WanVideoLoopArgs {
    fn spec(&self) -> Spec {
        let share = |default, tooltip| float(default, 0.0..=1.0, 0.01).tooltip(tooltip);
        spec("WanVideoLoopArgs", "WanVideo Loop Args")
            .input("shift_skip", whole_from(6, 0).tooltip("Latent frames by which the video is turned at each step."))
            .input("start_percent", share(0.0, "Share of the steps after which it begins."))
            .input("end_percent", share(1.0, "Share of the steps after which it ends."))
            .output_named("LOOPARGS", "loop_args")
            .describe("Makes a video that plays round and round.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let span = Span { start: inputs.float("start_percent")?, end: inputs.float("end_percent")? };
        one(Value::object(LoopShift { skip: inputs.count("shift_skip")?, span }))
    }
}
