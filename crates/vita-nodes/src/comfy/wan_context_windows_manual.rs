//! `WanContextWindowsManual`: a long video in windows that overlap.

use crate::context_windows::{shape_fields, windows};
use crate::prelude::*;

pub struct WanContextWindowsManual;

impl Node for WanContextWindowsManual {
    fn spec(&self) -> Spec {
        let spec = Spec::new("WanContextWindowsManual", "context")
            .module("comfy_extras.nodes_context_windows", Style::V3)
            .display("WAN Context Windows (Manual)")
            .input("model", link("MODEL"))
            .input("context_length", int(81, 1..=SIDE_MAX, 4).tooltip("Frames of a window."))
            .input("context_overlap", whole_from(30, 0).tooltip("Frames that neighbouring windows share."));
        let mut spec = shape_fields(spec)
            .input("freenoise", switch(false).tooltip("Repeats the noise of the first window, shuffled."))
            .output("MODEL")
            .describe("Samples a video that is longer than the model was made for in windows that overlap.");
        spec.experimental = true;
        spec
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        // (n - 1) / 4 + 1 latent frames, and none of none.
        let frames = inputs.count("context_length")?.div_ceil(4);
        let overlap = inputs.count("context_overlap")?.div_ceil(4);
        let windows = windows(inputs, frames, overlap)?;
        let model = inputs.object::<Transformer>("model")?;
        one(Value::object(model.patched(|patches| patches.windows = Some(windows))))
    }
}
