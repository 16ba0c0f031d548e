//! `WanVideoLoopArgs`: a video whose end meets its beginning.

use super::fields::spec;
use crate::prelude::*;
use crate::work::not_yet;

pub struct WanVideoLoopArgs;

impl Node for WanVideoLoopArgs {
    fn spec(&self) -> Spec {
        let share = |default, tooltip| float(default, 0.0..=1.0, 0.01).tooltip(tooltip);
        spec("WanVideoLoopArgs", "WanVideo Loop Args")
            .input("shift_skip", whole_from(6, 0).tooltip("Latent frames by which the video is turned at each step."))
            .input("start_percent", share(0.0, "Share of the steps after which it begins."))
            .input("end_percent", share(1.0, "Share of the steps after which it ends."))
            .output_named("LOOPARGS", "loop_args")
            .describe("Makes a video that plays round and round. Not built in yet.")
    }

    fn run(&self, _: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        Err(not_yet("videos that play round and round (`loop_args`)"))
    }
}
