//! `CFGZeroStar`: guidance whose negative prompt is scaled to fit the prompt.

use vita_pipeline::CfgZeroStar;

use crate::prelude::*;

pub struct CFGZeroStar;

impl Node for CFGZeroStar {
    fn spec(&self) -> Spec {
        Spec::new("CFGZeroStar", "advanced/guidance")
            .module("comfy_extras.nodes_cfg", Style::V3)
            .input("model", link("MODEL"))
            .output_named("MODEL", "patched_model")
            .describe("Scales the negative prompt's answer to fit the prompt's before guidance (CFG-Zero*).")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let model = inputs.object::<Transformer>("model")?;
        let zero_star = Some(CfgZeroStar { zero_steps: 0 });
        one(Value::object(model.patched(|patches| patches.cfg_zero_star = zero_star)))
    }
}
