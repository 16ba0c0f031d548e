//! `LoadWanVideoT5TextEncoder`: a text encoder's file.

use super::fields::{device, precision, spec, text_quantization};
use crate::prelude::*;
use crate::studio::Studio;
use crate::work::node_error;

pub struct LoadWanVideoT5TextEncoder;

impl Node for LoadWanVideoT5TextEncoder {
    fn spec(&self) -> Spec {
        spec("LoadWanVideoT5TextEncoder", "Load WanVideo T5 TextEncoder")
            .input("model_name", files("text_encoders").tooltip("A UMT5-XXL encoder in any of its dialects."))
            .input("precision", precision(&["fp32", "bf16"], "bf16"))
            .optional("load_device", device("offload_device"))
            .optional("quantization", text_quantization())
            .output_named("WANTEXTENCODER", "wan_t5_model")
            .describe("Opens the UMT5 text encoder of Wan. Its weights are read when it is first used.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let path = context.host::<Studio>().model_file("text_encoders", inputs.text("model_name")?)?;
        one(Value::object(TextEncoder::open(path).map_err(node_error)?))
    }
}
