//! `BasicGuider`: a model led by one prompt.

use crate::prelude::*;

pub struct BasicGuider;

impl Node for BasicGuider {
    fn spec(&self) -> Spec {
        Spec::new("BasicGuider", "sampling/custom_sampling/guiders")
            .module("comfy_extras.nodes_custom_sampler", Style::V3)
            .input("model", link("MODEL"))
            .input("conditioning", link("CONDITIONING"))
            .output("GUIDER")
            .describe("A model led by a prompt alone, without guidance.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let (model, positive) = (inputs.object("model")?, inputs.object("conditioning")?);
        one(Guider { model, positive, negative: None, cfg: 1.0 })
    }
}
