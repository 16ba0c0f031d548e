//! `WanVideoSetLoRAs`: LoRAs upon a model.

use super::fields::spec;
use super::loras::apply;
use crate::prelude::*;

pub struct WanVideoSetLoRAs;

impl Node for WanVideoSetLoRAs {
    fn spec(&self) -> Spec {
        spec("WanVideoSetLoRAs", "WanVideo Set LoRAs")
            .input("model", link("WANVIDEOMODEL"))
            .optional("lora", link("WANVIDLORA").tooltip("LoRAs upon the model."))
            .output_named("WANVIDEOMODEL", "model")
            .describe("Changes a model by LoRAs. Not built in yet: with any LoRA it says so.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let model = (*inputs.object::<Transformer>("model")?).clone();
        one(Value::object(apply(model, inputs)?))
    }
}
