//! `ImageBatch`: two batches as one.

use crate::batch::join_images;
use crate::prelude::*;

pub struct ImageBatch;

impl Node for ImageBatch {
    fn spec(&self) -> Spec {
        Spec::new("ImageBatch", "image")
            .display("Batch Images")
            .input("image1", link("IMAGE"))
            .input("image2", link("IMAGE"))
            .output("IMAGE")
            .describe("Puts the second pictures behind the first, cut and scaled to their size.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(join_images(&[inputs.object::<Image>("image1")?, inputs.object::<Image>("image2")?])?)
    }
}
