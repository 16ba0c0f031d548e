//! `LoraLoaderModelOnly`: a LoRA upon a transformer.

use crate::prelude::*;
use crate::studio::Studio;
use crate::work::with_lora;

pub struct LoraLoaderModelOnly;

impl Node for LoraLoaderModelOnly {
    fn spec(&self) -> Spec {
        Spec::new("LoraLoaderModelOnly", "loaders")
            .input("model", link("MODEL"))
            .input("lora_name", files("loras"))
            .input("strength_model", float(1.0, -100.0..=100.0, 0.01).tooltip("0 leaves the model as it is."))
            .output("MODEL")
            .describe("Changes a model by a LoRA.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let model = inputs.object::<Transformer>("model")?;
        let strength = inputs.float("strength_model")?;
        if strength == 0.0 {
            return one(Value::Object(model));
        }
        let path = context.host::<Studio>().model_file("loras", inputs.text("lora_name")?)?;
        one(Value::object(with_lora(&model, &path, strength)?))
    }
}
