//! `CLIPLoaderGGUF`: a text encoder's file, in GGUF or any other format.

use super::spec;
use crate::comfy::{load_text_encoder, text_encoder_type};
use crate::prelude::*;

pub struct CLIPLoaderGGUF;

impl Node for CLIPLoaderGGUF {
    fn spec(&self) -> Spec {
        spec("CLIPLoaderGGUF", "CLIPLoader (GGUF)")
            .input("clip_name", files("text_encoders"))
            .input("type", text_encoder_type())
            .output("CLIP")
            .describe("Opens the UMT5 text encoder of Wan. Its weights are read when it is first used.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        load_text_encoder(inputs, context)
    }
}
