//! `CFGGuider`: a model led by two prompts.

use crate::prelude::*;

pub struct CFGGuider;

impl Node for CFGGuider {
    fn spec(&self) -> Spec {
        Spec::new("CFGGuider", "sampling/custom_sampling/guiders")
            .module("comfy_extras.nodes_custom_sampler", Style::V3)
            .input("model", link("MODEL"))
            .input("positive", link("CONDITIONING"))
            .input("negative", link("CONDITIONING"))
            .input("cfg", cfg().tooltip("How strongly the prompts lead."))
            .output("GUIDER")
            .describe("A model led towards one prompt and away from another.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Guider {
            model: inputs.object("model")?,
            positive: inputs.object("positive")?,
            negative: Some(inputs.object("negative")?),
            cfg: inputs.float("cfg")?,
        })
    }
}
