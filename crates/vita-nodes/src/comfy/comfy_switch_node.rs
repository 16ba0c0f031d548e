//! `ComfySwitchNode`: one of two branches; the other is not evaluated.

use vita_graph::OutputSlot;

use crate::prelude::*;

pub struct ComfySwitchNode;

impl Node for ComfySwitchNode {
    fn spec(&self) -> Spec {
        let branch = || field(Kind::Match { template: "switch", allowed: "*" }).lazy();
        let mut spec = Spec::new("ComfySwitchNode", "logic")
            .module("comfy_extras.nodes_logic", Style::V3)
            .display("Switch")
            .input("switch", field(Kind::Bool { default: None }))
            .input("on_false", branch().tooltip("What comes out while the switch is off."))
            .input("on_true", branch().tooltip("What comes out while the switch is on."))
            .describe("Passes one of two inputs on. What only the other needs is not run.");
        spec.experimental = true;
        spec.outputs.push(OutputSlot {
            kind: "COMFY_MATCHTYPE_V3",
            name: "output",
            is_list: false,
            template: Some("switch"),
            tooltip: "",
        });
        spec
    }

    fn needs(&self, inputs: &Inputs) -> Vec<String> {
        match inputs.bool("switch") {
            Ok(true) => vec!["on_true".into()],
            Ok(false) => vec!["on_false".into()],
            Err(_) => Vec::new(),
        }
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let branch = if inputs.bool("switch")? { "on_true" } else { "on_false" };
        Ok(Outputs::values([inputs.get(branch).cloned().unwrap_or(Value::Null)]))
    }
}
