//! `WanVideoTextEncodeSingle`: one prompt to what leads the wrapper's sampler.

use super::fields::{disk_cache, force_offload, model_to_offload, offload, processor, spec};
use super::prompts::{encode_one, encoder};
use crate::prelude::*;

pub struct WanVideoTextEncodeSingle;

impl Node for WanVideoTextEncodeSingle {
    fn spec(&self) -> Spec {
        let prompt = field(Kind::Text { default: Some(""), multiline: true, dynamic_prompts: false });
        spec("WanVideoTextEncodeSingle", "WanVideo TextEncodeSingle")
            .input("prompt", prompt.tooltip("What should be seen, or should not. Weights are not read."))
            .optional("t5", link("WANTEXTENCODER").tooltip("The text encoder."))
            .optional("force_offload", force_offload())
            .optional("model_to_offload", model_to_offload())
            .optional("use_disk_cache", disk_cache(false))
            .optional("device", processor())
            .output_named("WANVIDEOTEXTEMBEDS", "text_embeds")
            .describe("Encodes one prompt, without anything that should not be seen.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let encoder = encoder(inputs)?;
        let embeds = encode_one(&encoder, inputs.text("prompt")?, context)?;
        offload(inputs, context, |residency| encoder.offload(residency))?;
        one(Value::object(embeds))
    }
}
