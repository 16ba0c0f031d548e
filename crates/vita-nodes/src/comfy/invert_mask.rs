//! `InvertMask`: what was not masked.

use crate::prelude::*;

pub struct InvertMask;

impl Node for InvertMask {
    fn spec(&self) -> Spec {
        Spec::new("InvertMask", "mask")
            .module("comfy_extras.nodes_mask", Style::V3)
            .input("mask", link("MASK"))
            .output("MASK")
            .describe("1 minus the mask.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(inputs.object::<Mask>("mask")?.map(|value| 1.0 - value))
    }
}
