//! `RepeatImageBatch`: pictures again and again.

use crate::prelude::*;

pub struct RepeatImageBatch;

impl Node for RepeatImageBatch {
    fn spec(&self) -> Spec {
        Spec::new("RepeatImageBatch", "image/batch")
            .module("comfy_extras.nodes_images", Style::V3)
            .input("image", link("IMAGE"))
            .input("amount", whole(1, 1..=4096).tooltip("How often the whole batch appears."))
            .output("IMAGE")
            .describe("Repeats a batch of pictures.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let image = inputs.object::<Image>("image")?;
        let amount = inputs.count("amount")?;
        let [count, height, width, channels] = image.sizes();
        Image::check([count.saturating_mul(amount), height, width, channels])?;
        one(Image::join(&vec![(*image).clone(); amount]))
    }
}
