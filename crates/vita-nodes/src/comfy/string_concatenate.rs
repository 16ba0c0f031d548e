//! `StringConcatenate`: two texts as one.

use crate::prelude::*;

pub struct StringConcatenate;

impl Node for StringConcatenate {
    fn spec(&self) -> Spec {
        Spec::new("StringConcatenate", "utils/string")
            .module("comfy_extras.nodes_string", Style::V3)
            .display("Concatenate")
            .input("string_a", lines())
            .input("string_b", lines())
            .input("delimiter", text("").tooltip("Comes between the two."))
            .output("STRING")
            .describe("Puts the second text behind the first.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::text([inputs.text("string_a")?, inputs.text("string_b")?].join(inputs.text("delimiter")?)))
    }
}
