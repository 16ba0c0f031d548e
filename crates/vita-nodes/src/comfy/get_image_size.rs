//! `GetImageSize`: how large pictures are, and how many.

use crate::prelude::*;

pub struct GetImageSize;

impl Node for GetImageSize {
    fn spec(&self) -> Spec {
        Spec::new("GetImageSize", "image")
            .module("comfy_extras.nodes_images", Style::V3)
            .display("Get Image Size")
            .input("image", link("IMAGE"))
            .hidden(Hidden::UniqueId)
            .output_named("INT", "width")
            .output_named("INT", "height")
            .output_named("INT", "batch_size")
            .describe("Width and height of pictures, and how many they are.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let [count, height, width, _] = inputs.object::<Image>("image")?.sizes();
        context.say(&format!("width: {width}, height: {height}\n batch size: {count}"));
        Ok(Outputs::values([width, height, count].map(|size| Value::Int(size as i128))))
    }
}
