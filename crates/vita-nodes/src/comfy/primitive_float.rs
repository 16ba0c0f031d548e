//! `PrimitiveFloat`: a number for several nodes.

use crate::prelude::*;

pub struct PrimitiveFloat;

impl Node for PrimitiveFloat {
    fn spec(&self) -> Spec {
        let most = i64::MAX as f64;
        let value = Kind::Float { default: None, range: -most..=most, step: Some(0.1), round: None };
        Spec::new("PrimitiveFloat", "utils/primitive")
            .module("comfy_extras.nodes_primitive", Style::V3)
            .display("Float")
            .input("value", field(value))
            .output("FLOAT")
            .describe("A number, for several nodes.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::Float(inputs.float("value")?))
    }
}
