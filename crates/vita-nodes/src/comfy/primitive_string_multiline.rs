//! `PrimitiveStringMultiline`: text for several nodes.

use crate::prelude::*;

pub struct PrimitiveStringMultiline;

impl Node for PrimitiveStringMultiline {
    fn spec(&self) -> Spec {
        Spec::new("PrimitiveStringMultiline", "utils/primitive")
            .module("comfy_extras.nodes_primitive", Style::V3)
            .display("String (Multiline)")
            .input("value", lines())
            .output("STRING")
            .describe("Text of several lines.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::text(inputs.text("value")?))
    }
}
