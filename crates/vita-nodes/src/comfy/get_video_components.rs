//! `GetVideoComponents`: a video's pictures, sound and rate.

use crate::prelude::*;

pub struct GetVideoComponents;

impl Node for GetVideoComponents {
    fn spec(&self) -> Spec {
        Spec::new("GetVideoComponents", "image/video")
            .module("comfy_extras.nodes_video", Style::V3)
            .display("Get Video Components")
            .input("video", link("VIDEO").tooltip("What is taken apart."))
            .output_named("IMAGE", "images")
            .output_named("AUDIO", "audio")
            .output_named("FLOAT", "fps")
            .describe("Takes a video apart. The sound is not decoded, only passed on to nodes that write it.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let parts = inputs.object::<Video>("video")?.parts(context)?;
        let audio = parts.audio.map_or(Value::Null, |audio| Value::Object(audio));
        Ok(Outputs::values([Value::Object(parts.images), audio, Value::Float(parts.frame_rate.as_f64())]))
    }
}
