//! `CustomCombo`: one of several texts that the user wrote.

use vita_graph::{Host, Refusal};

use crate::prelude::*;

pub struct CustomCombo;

impl Node for CustomCombo {
    fn spec(&self) -> Spec {
        let mut spec = Spec::new("CustomCombo", "utils")
            .module("comfy_extras.nodes_logic", Style::V3)
            .display("Custom Combo")
            .input("choice", combo::<&str>([]).tooltip("The page keeps the list of choices."))
            .output("STRING")
            .output_named("INT", "INDEX")
            .describe("Passes on the text that was chosen, and its place in the list.");
        spec.experimental = true;
        spec
    }

    /// The choices are the page's: any text will do.
    fn judges(&self) -> &'static [&'static str] {
        &["choice"]
    }

    fn refuse(&self, _: &Inputs, _: &dyn Host) -> Vec<Refusal> {
        Vec::new()
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let index = if inputs.has("index") { inputs.int("index")? } else { 0 };
        Ok(Outputs::values([Value::text(inputs.text("choice")?), Value::Int(index)]))
    }
}
