//! `WanVideoLoraSelectMulti`: up to five LoRAs more.

use vita_graph::Options;

use super::fields::spec;
use super::loras::{Loras, NONE, blocks, check_blocks, low_mem_load, merge_loras, prev_lora};
use crate::prelude::*;
use crate::studio::Studio;

pub struct WanVideoLoraSelectMulti;

const COUNT: usize = 5;

impl Node for WanVideoLoraSelectMulti {
    fn spec(&self) -> Spec {
        let choice = || {
            let options = Options::Files { folder: "loras", first: vec![NONE.into()] };
            field(Kind::Combo { options, default: Some(NONE.into()) })
        };
        let strength = || float(1.0, -10.0..=10.0, 0.0001).tooltip("How much of it; 0 leaves it out.");
        let spec = (0..COUNT).fold(spec("WanVideoLoraSelectMulti", "WanVideo Lora Select Multi"), |spec, index| {
            spec.input(&format!("lora_{index}"), choice()).input(&format!("strength_{index}"), strength())
        });
        spec.optional("prev_lora", prev_lora())
            .optional("blocks", blocks())
            .optional("low_mem_load", low_mem_load())
            .optional("merge_loras", merge_loras())
            .output_named("WANVIDLORA", "lora")
            .describe("Chooses up to five LoRAs.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        check_blocks(inputs)?;
        let mut loras = Loras::before(inputs)?;
        for index in 0..COUNT {
            let strength = inputs.float(&format!("strength_{index}"))?;
            loras.add(inputs.text(&format!("lora_{index}"))?, strength, context.host::<Studio>())?;
        }
        one(Value::object(loras))
    }
}
