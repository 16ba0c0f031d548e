//! `PrimitiveInt`: a whole number for several nodes.

use crate::prelude::*;

pub struct PrimitiveInt;

impl Node for PrimitiveInt {
    fn spec(&self) -> Spec {
        let value = Kind::Int {
            default: None,
            range: -i128::from(i64::MAX)..=i64::MAX.into(),
            step: None,
            control_after_generate: true,
        };
        Spec::new("PrimitiveInt", "utils/primitive")
            .module("comfy_extras.nodes_primitive", Style::V3)
            .display("Int")
            .input("value", field(value))
            .output("INT")
            .describe("A whole number.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::Int(inputs.int("value")?))
    }
}
