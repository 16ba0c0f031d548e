//! `UNetTemporalAttentionMultiply`: factors for the time layers of other models, accepted.

use crate::prelude::*;

pub struct UNetTemporalAttentionMultiply;

impl Node for UNetTemporalAttentionMultiply {
    fn spec(&self) -> Spec {
        let factor = || float(1.0, 0.0..=10.0, 0.01).tooltip("Has no effect on Wan models, in ComfyUI neither.");
        let mut spec = Spec::new("UNetTemporalAttentionMultiply", "_for_testing/attention_experiments")
            .module("comfy_extras.nodes_attention_multiply", Style::V3)
            .input("model", link("MODEL"))
            .input("self_structural", factor())
            .input("self_temporal", factor())
            .input("cross_structural", factor())
            .input("cross_temporal", factor())
            .output("MODEL")
            .describe("Scales attention layers that UNets of other systems have. Wan models have none of them.");
        spec.experimental = true;
        spec
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Value::Object(inputs.object::<Transformer>("model")?))
    }
}
