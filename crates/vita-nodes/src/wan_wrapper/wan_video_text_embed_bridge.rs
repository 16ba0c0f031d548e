//! `WanVideoTextEmbedBridge`: prompts that ComfyUI's own node encoded, for the wrapper's sampler.

use super::data::TextEmbeds;
use super::fields::spec;
use crate::prelude::*;

pub struct WanVideoTextEmbedBridge;

impl Node for WanVideoTextEmbedBridge {
    fn spec(&self) -> Spec {
        spec("WanVideoTextEmbedBridge", "WanVideo TextEmbed Bridge")
            .input("positive", link("CONDITIONING").tooltip("What should be seen."))
            .optional("negative", link("CONDITIONING").tooltip("What should not be seen."))
            .output_named("WANVIDEOTEXTEMBEDS", "text_embeds")
            .describe("Passes on prompts that CLIPTextEncode encoded.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let positive = inputs.object::<Conditioning>("positive")?.text.clone();
        let negative = inputs.optional::<Conditioning>("negative")?.map(|negative| negative.text.clone());
        one(Value::object(TextEmbeds { positive, negative, sections: Vec::new(), nag: None }))
    }
}
