//! `SolidMask`: a mask of one value.

use vita_tensor::Tensor;

use crate::prelude::*;

pub struct SolidMask;

impl Node for SolidMask {
    fn spec(&self) -> Spec {
        Spec::new("SolidMask", "mask")
            .module("comfy_extras.nodes_mask", Style::V3)
            .input("value", float(1.0, 0.0..=1.0, 0.01))
            .input("width", int(512, 1..=SIDE_MAX, 1))
            .input("height", int(512, 1..=SIDE_MAX, 1))
            .output("MASK")
            .describe("A mask that is the same everywhere.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let mut values = Tensor::scratch([1, inputs.count("height")?, inputs.count("width")?]);
        values.f32s_mut().fill(inputs.float("value")? as f32);
        one(Mask::new(values))
    }
}
