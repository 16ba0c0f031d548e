//! `WanVideoLoraSelect`: one LoRA more.

use super::fields::spec;
use super::loras::{Loras, blocks, check_blocks, low_mem_load, merge_loras, prev_lora};
use crate::prelude::*;
use crate::studio::Studio;

pub struct WanVideoLoraSelect;

impl Node for WanVideoLoraSelect {
    fn spec(&self) -> Spec {
        let strength = float(1.0, -1000.0..=1000.0, 0.0001).tooltip("How much of it; 0 leaves it out.");
        spec("WanVideoLoraSelect", "WanVideo Lora Select")
            .input("lora", files("loras"))
            .input("strength", strength)
            .optional("prev_lora", prev_lora())
            .optional("blocks", blocks())
            .optional("low_mem_load", low_mem_load())
            .optional("merge_loras", merge_loras())
            .hidden(Hidden::UniqueId)
            .output_named("WANVIDLORA", "lora")
            .describe("Chooses a LoRA.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        check_blocks(inputs)?;
        let mut loras = Loras::before(inputs)?;
        loras.add(inputs.text("lora")?, inputs.float("strength")?, context.host::<Studio>())?;
        one(Value::object(loras))
    }
}
