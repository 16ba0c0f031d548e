//! `LoraLoader`: a LoRA upon a transformer and a text encoder.

use crate::prelude::*;
use crate::studio::Studio;
use crate::work::with_lora;

pub struct LoraLoader;

impl Node for LoraLoader {
    fn spec(&self) -> Spec {
        let strength = |tooltip| float(1.0, -100.0..=100.0, 0.01).tooltip(tooltip);
        Spec::new("LoraLoader", "loaders")
            .display("Load LoRA")
            .input("model", link("MODEL"))
            .input("clip", link("CLIP"))
            .input("lora_name", files("loras"))
            .input("strength_model", strength("0 leaves the model as it is."))
            .input("strength_clip", strength("LoRAs of Wan have nothing for the text encoder."))
            .output("MODEL")
            .output("CLIP")
            .describe("Changes a model by a LoRA; the text encoder is passed on.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let model = inputs.object::<Transformer>("model")?;
        let clip = inputs.object::<TextEncoder>("clip")?;
        let strength = inputs.float("strength_model")?;
        if strength == 0.0 {
            return Ok(Outputs::values([Value::Object(model), Value::Object(clip)]));
        }
        let path = context.host::<Studio>().model_file("loras", inputs.text("lora_name")?)?;
        Ok(Outputs::values([Value::object(with_lora(&model, &path, strength)?), Value::Object(clip)]))
    }
}
