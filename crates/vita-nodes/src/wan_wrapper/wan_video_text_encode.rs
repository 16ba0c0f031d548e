//! `WanVideoTextEncode`: two prompts to what leads the wrapper's sampler.

use super::fields::{disk_cache, force_offload, model_to_offload, offload, processor, spec};
use super::prompts::{encode, encoder};
use crate::prelude::*;

pub struct WanVideoTextEncode;

impl Node for WanVideoTextEncode {
    fn spec(&self) -> Spec {
        let prompt = || field(Kind::Text { default: Some(""), multiline: true, dynamic_prompts: false });
        spec("WanVideoTextEncode", "WanVideo TextEncode")
            .input("positive_prompt", prompt().tooltip("What should be seen. `(words:1.2)` weighs the whole prompt."))
            .input("negative_prompt", prompt().tooltip("What should not be seen."))
            .optional("t5", link("WANTEXTENCODER").tooltip("The text encoder."))
            .optional("force_offload", force_offload())
            .optional("model_to_offload", model_to_offload())
            .optional("use_disk_cache", disk_cache(false))
            .optional("device", processor())
            .output_named("WANVIDEOTEXTEMBEDS", "text_embeds")
            .describe("Encodes a prompt and what should not be seen, 512 tokens of each.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let prompts = [inputs.text("positive_prompt")?, inputs.text("negative_prompt")?];
        let encoder = encoder(inputs)?;
        let embeds = encode(&encoder, prompts, context)?;
        offload(inputs, context, |residency| encoder.offload(residency))?;
        one(Value::object(embeds))
    }
}
