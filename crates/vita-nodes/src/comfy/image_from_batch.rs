//! `ImageFromBatch`: some pictures of a batch.

use crate::prelude::*;

pub struct ImageFromBatch;

impl Node for ImageFromBatch {
    fn spec(&self) -> Spec {
        Spec::new("ImageFromBatch", "image/batch")
            .module("comfy_extras.nodes_images", Style::V3)
            .input("image", link("IMAGE"))
            .input("batch_index", whole(0, 0..=4095).tooltip("The first picture, from 0; at most the last."))
            .input("length", whole(1, 1..=BATCH_MAX).tooltip("How many, as far as there are."))
            .output("IMAGE")
            .describe("Takes pictures out of a batch.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let image = inputs.object::<Image>("image")?;
        let start = inputs.count("batch_index")?.min(image.count() - 1);
        one(image.range(start, inputs.count("length")?.min(image.count() - start)))
    }
}
