//! `PrimitiveString`: a line of text for several nodes.

use crate::prelude::*;

pub struct PrimitiveString;

impl Node for PrimitiveString {
    fn spec(&self) -> Spec {
        Spec::new("PrimitiveString", "utils/primitive")
            .module("comfy_extras.nodes_primitive", Style::V3)
            .display("String")
            .input("value", line())
            .output("STRING")
            .describe("A line of text.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::text(inputs.text("value")?))
    }
}
