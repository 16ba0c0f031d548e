//! `MaskToImage`: masks as grey pictures.

use crate::prelude::*;

pub struct MaskToImage;

impl Node for MaskToImage {
    fn spec(&self) -> Spec {
        Spec::new("MaskToImage", "mask")
            .module("comfy_extras.nodes_mask", Style::V3)
            .display("Convert Mask to Image")
            .input("mask", link("MASK"))
            .output("IMAGE")
            .describe("Masks as grey pictures: white where the mask is 1.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(inputs.object::<Mask>("mask")?.to_image().rgb())
    }
}
