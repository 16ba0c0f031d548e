//! `ModelSamplingSD3`: another flow shift.

use crate::prelude::*;

pub struct ModelSamplingSD3;

impl Node for ModelSamplingSD3 {
    fn spec(&self) -> Spec {
        Spec::new("ModelSamplingSD3", "advanced/model")
            .module("comfy_extras.nodes_model_advanced", Style::V1)
            .input("model", link("MODEL"))
            .input(
                "shift",
                float(3.0, 0.0..=100.0, 0.01).tooltip("Larger spends more steps on the outlines. 8 without this node."),
            )
            .output("MODEL")
            .describe("Shifts the noise levels of a schedule.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let shift = inputs.float("shift")?;
        let model = inputs.object::<Transformer>("model")?;
        one(Value::object(model.patched(|patches| patches.shift = Some(shift))))
    }
}
