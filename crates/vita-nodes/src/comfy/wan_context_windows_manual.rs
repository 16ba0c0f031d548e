//! `WanContextWindowsManual`: a long video in windows that overlap.

use crate::prelude::*;
use crate::work::not_yet;

pub struct WanContextWindowsManual;

impl Node for WanContextWindowsManual {
    fn spec(&self) -> Spec {
        let schedules = ["standard_static", "standard_uniform", "looped_uniform", "batched"];
        let fuse = combo(["pyramid", "relative", "flat", "overlap-linear"]).default_choice("pyramid");
        let mut spec = Spec::new("WanContextWindowsManual", "context")
            .module("comfy_extras.nodes_context_windows", Style::V3)
            .display("WAN Context Windows (Manual)")
            .input("model", link("MODEL"))
            .input("context_length", int(81, 1..=SIDE_MAX, 4).tooltip("Frames of a window."))
            .input("context_overlap", whole_from(30, 0).tooltip("Frames that neighbouring windows share."))
            .input("context_schedule", combo(schedules).tooltip("How windows lie."))
            .input(
                "context_stride",
                whole_from(1, 1).tooltip("Of uniform schedules: how far apart a window's frames may lie."),
            )
            .input("closed_loop", switch(false).tooltip("Of looped schedules: whether the end meets the beginning."))
            .input("fuse_method", fuse.tooltip("How windows are mixed where they overlap."))
            .input("freenoise", switch(false).tooltip("Repeats the noise of the first window, shuffled."))
            .output("MODEL")
            .describe("Samples a video that is longer than the model was made for in windows that overlap.");
        spec.experimental = true;
        spec
    }

    fn run(&self, _: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        Err(not_yet("sampling in windows"))
    }
}
