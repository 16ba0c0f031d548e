//! `PrimitiveBoolean`: a truth value for several nodes.

use crate::prelude::*;

pub struct PrimitiveBoolean;

impl Node for PrimitiveBoolean {
    fn spec(&self) -> Spec {
        Spec::new("PrimitiveBoolean", "utils/primitive")
            .module("comfy_extras.nodes_primitive", Style::V3)
            .display("Boolean")
            .input("value", field(Kind::Bool { default: None }))
            .output("BOOLEAN")
            .describe("True or false.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::Bool(inputs.bool("value")?))
    }
}
