//! `WanVideoApplyNAG`: a negative prompt inside the attention to the prompt.

use std::sync::Arc;

use vita_pipeline::{NagNumbers, NagPrompt};

use super::data::TextEmbeds;
use super::fields::spec;
use crate::prelude::*;

pub struct WanVideoApplyNAG;

impl Node for WanVideoApplyNAG {
    fn spec(&self) -> Spec {
        spec("WanVideoApplyNAG", "WanVideo Apply NAG")
            .input("original_text_embeds", link("WANVIDEOTEXTEMBEDS").tooltip("The prompts."))
            .input("nag_text_embeds", link("WANVIDEOTEXTEMBEDS").tooltip("What should not be seen."))
            .input("nag_scale", float(11.0, 0.0..=100.0, 0.1).tooltip("How far away from it; 1 changes nothing."))
            .input("nag_tau", float(2.5, 0.0..=10.0, 0.1).tooltip("How much larger a value may become."))
            .input("nag_alpha", float(0.25, 0.0..=1.0, 0.01).tooltip("The share of it; 0 changes nothing."))
            .optional("inplace", switch(true).tooltip("Has no meaning here."))
            .output_named("WANVIDEOTEXTEMBEDS", "text_embeds")
            .describe("Leads away from a prompt inside the attention to the prompt, without running the model twice.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let text = Arc::new(inputs.object::<TextEmbeds>("nag_text_embeds")?.positive.clone());
        let number = |name| inputs.float(name).map(|value| value as f32);
        let numbers = NagNumbers { scale: number("nag_scale")?, tau: number("nag_tau")?, alpha: number("nag_alpha")? };
        let prompts = (*inputs.object::<TextEmbeds>("original_text_embeds")?).clone();
        one(Value::object(TextEmbeds { nag: Some(NagPrompt { text, numbers }), ..prompts }))
    }
}
