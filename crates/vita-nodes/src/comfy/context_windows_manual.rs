//! `ContextWindowsManual`: a long latent in windows that overlap, whatever its dimensions are.

use crate::context_windows::{shape_fields, windows};
use crate::prelude::*;

pub struct ContextWindowsManual;

/// The dimension of a latent video's frames, after batch and channels.
const FRAMES: i128 = 2;

impl Node for ContextWindowsManual {
    fn spec(&self) -> Spec {
        let spec = Spec::new("ContextWindowsManual", "context")
            .module("comfy_extras.nodes_context_windows", Style::V3)
            .display("Context Windows (Manual)")
            .input("model", link("MODEL"))
            .input("context_length", whole_from(16, 1).tooltip("Latent frames of a window."))
            .input("context_overlap", whole_from(4, 0).tooltip("Latent frames that neighbouring windows share."));
        let dim = "Which dimension of the latent is parted: 2 are the frames, 0 is the batch.";
        let mut spec = shape_fields(spec)
            .input("dim", whole(0, 0..=5).tooltip(dim))
            .input("freenoise", switch(false).tooltip("Repeats the noise of the first window, shuffled."))
            .output("MODEL")
            .describe("Samples a latent that is longer than the model was made for in windows that overlap.");
        spec.experimental = true;
        spec
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let model = inputs.object::<Transformer>("model")?;
        match inputs.int("dim")? {
            FRAMES => {
                let (frames, overlap) = (inputs.count("context_length")?, inputs.count("context_overlap")?);
                let windows = windows(inputs, frames, overlap)?;
                one(Value::object(model.patched(|patches| patches.windows = Some(windows))))
            }
            0 if !inputs.bool("freenoise")? => {
                context.say(
                    "ContextWindowsManual changes nothing: `dim` 0 parts the batch, whose videos are made one by one.",
                );
                one(Value::Object(model))
            }
            dim => Err(NodeError::Failed {
                kind: "ValueError",
                message: format!("windows along dimension {dim} of the latent, and frames are dimension {FRAMES}"),
                hint: Some("set `dim` to 2, or use WAN Context Windows (Manual)".into()),
            }),
        }
    }
}
