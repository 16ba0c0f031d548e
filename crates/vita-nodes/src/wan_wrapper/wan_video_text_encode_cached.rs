//! `WanVideoTextEncodeCached`: a text encoder's file and two prompts to what leads the wrapper's sampler.

use super::data::TextEmbeds;
use super::fields::{disk_cache, precision, processor, spec, text_quantization};
use super::prompts::encode;
use crate::prelude::*;
use crate::studio::Studio;
use crate::work::{node_error, not_yet};

pub struct WanVideoTextEncodeCached;

impl Node for WanVideoTextEncodeCached {
    fn spec(&self) -> Spec {
        let prompt = || field(Kind::Text { default: Some(""), multiline: true, dynamic_prompts: false });
        let extender = link("WANVIDEOPROMPTEXTENDER_ARGS").tooltip("Is refused: no language model is built in.");
        spec("WanVideoTextEncodeCached", "WanVideo TextEncode Cached")
            .input("model_name", files("text_encoders").tooltip("A UMT5-XXL encoder in any of its dialects."))
            .input("precision", precision(&["fp32", "bf16"], "bf16"))
            .input("positive_prompt", prompt().tooltip("What should be seen. `(words:1.2)` weighs the whole prompt."))
            .input("negative_prompt", prompt().tooltip("What should not be seen."))
            .input("quantization", text_quantization())
            .input("use_disk_cache", disk_cache(true))
            .input("device", processor())
            .optional("extender_args", extender)
            .output_named("WANVIDEOTEXTEMBEDS", "text_embeds")
            .output_named("WANVIDEOTEXTEMBEDS", "negative_text_embeds")
            .output_named("STRING", "positive_prompt")
            .describe("Opens a text encoder and encodes a prompt and what should not be seen; the latter alone too.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        if inputs.has("extender_args") {
            return Err(not_yet("writing a longer prompt (`extender_args`)"));
        }
        let path = context.host::<Studio>().model_file("text_encoders", inputs.text("model_name")?)?;
        let encoder = TextEncoder::open(path).map_err(node_error)?;
        let prompts = [inputs.text("positive_prompt")?, inputs.text("negative_prompt")?];
        let embeds = encode(&encoder, prompts, context)?;
        let negative = embeds.negative.clone().unwrap_or_else(|| embeds.positive.zeroed());
        let negative = TextEmbeds { positive: negative, negative: None, sections: Vec::new(), nag: None };
        Ok(Outputs::values([Value::object(embeds), Value::object(negative), Value::text(prompts[0])]))
    }
}
