//! `CLIPVisionLoader`: a vision encoder's file.

use crate::prelude::*;
use crate::studio::Studio;
use crate::work::node_error;

pub struct CLIPVisionLoader;

impl Node for CLIPVisionLoader {
    fn spec(&self) -> Spec {
        Spec::new("CLIPVisionLoader", "loaders")
            .display("Load CLIP Vision")
            .input("clip_name", files("clip_vision"))
            .output("CLIP_VISION")
            .describe("Opens the vision encoder of Wan 2.1. Its weights are read when it is first used.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let path = context.host::<Studio>().model_file("clip_vision", inputs.text("clip_name")?)?;
        one(Value::object(ClipVision::open(path).map_err(node_error)?))
    }
}
