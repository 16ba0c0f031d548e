//! `LoadWanVideoClipTextEncoder`: a vision encoder's file.

use super::fields::{device, precision, spec};
use crate::prelude::*;
use crate::studio::{Studio, VISION_CHOICES};
use crate::work::node_error;

pub struct LoadWanVideoClipTextEncoder;

impl Node for LoadWanVideoClipTextEncoder {
    fn spec(&self) -> Spec {
        spec("LoadWanVideoClipTextEncoder", "Load WanVideo Clip Encoder")
            .input("model_name", files(VISION_CHOICES).tooltip("The vision encoder of Wan 2.1 in any of its dialects."))
            .input("precision", precision(&["fp16", "fp32", "bf16"], "fp16"))
            .optional("load_device", device("offload_device"))
            .output_named("CLIP_VISION", "wan_clip_vision")
            .describe("Opens the vision encoder of Wan 2.1. Its weights are read when it is first used.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let (studio, name) = (context.host::<Studio>(), inputs.text("model_name")?);
        let path = studio.model_file("clip_vision", name).or_else(|_| studio.model_file("text_encoders", name))?;
        one(Value::object(ClipVision::open(path).map_err(node_error)?))
    }
}
