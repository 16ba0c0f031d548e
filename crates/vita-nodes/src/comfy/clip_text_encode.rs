//! `CLIPTextEncode`: a prompt to what leads a sampler.

use vita_pipeline::{PromptStyle, Stage};

use crate::prelude::*;
use crate::work::run;

pub struct CLIPTextEncode;

impl Node for CLIPTextEncode {
    fn spec(&self) -> Spec {
        let text = field(Kind::Text { default: None, multiline: true, dynamic_prompts: true });
        Spec::new("CLIPTextEncode", "conditioning")
            .display("CLIP Text Encode (Prompt)")
            .input("text", text.tooltip("What should be seen, or should not. `(words:1.2)` weighs words."))
            .input("clip", link("CLIP").tooltip("The text encoder."))
            .output("CONDITIONING")
            .describe("Encodes a prompt.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let encoder = inputs.object::<TextEncoder>("clip")?;
        let text = inputs.text("text")?;
        let rows = run(context, Stage::Text, |environment| encoder.encode(text, PromptStyle::Comfy, environment))?;
        one(Value::object(Conditioning::text(rows)))
    }
}
