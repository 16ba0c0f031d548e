//! `StringReplace`: a text with other words in it.

use crate::prelude::*;

pub struct StringReplace;

impl Node for StringReplace {
    fn spec(&self) -> Spec {
        Spec::new("StringReplace", "utils/string")
            .module("comfy_extras.nodes_string", Style::V3)
            .display("Replace")
            .input("string", lines())
            .input("find", lines())
            .input("replace", lines())
            .output("STRING")
            .describe("Replaces every occurrence of a text.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::text(inputs.text("string")?.replace(inputs.text("find")?, inputs.text("replace")?)))
    }
}
