//! `CLIPVisionEncode`: pictures to features.

use vita_pipeline::{ClipCrop, Stage};

use crate::prelude::*;
use crate::work::run;

pub struct CLIPVisionEncode;

impl Node for CLIPVisionEncode {
    fn spec(&self) -> Spec {
        Spec::new("CLIPVisionEncode", "conditioning")
            .display("CLIP Vision Encode")
            .input("clip_vision", link("CLIP_VISION"))
            .input("image", link("IMAGE"))
            .input("crop", combo(["center", "none"]).tooltip("`none` stretches the picture to a square."))
            .output("CLIP_VISION_OUTPUT")
            .describe("What a vision encoder says of pictures; image-to-video models of Wan 2.1 want it.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let encoder = inputs.object::<ClipVision>("clip_vision")?;
        let image = inputs.object::<Image>("image")?.rgb();
        let crop = if inputs.text("crop")? == "center" { ClipCrop::Center } else { ClipCrop::None };
        one(ClipVisionOutput(run(context, Stage::Image, |environment| {
            encoder.encode(image.tensor(), crop, environment)
        })?))
    }
}
