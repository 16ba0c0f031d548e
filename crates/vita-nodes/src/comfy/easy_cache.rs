//! `EasyCache`: steps that resemble the last could be skipped; none is.

use crate::prelude::*;

pub struct EasyCache;

impl Node for EasyCache {
    fn spec(&self) -> Spec {
        let share = |default: f64, tooltip| float(default, 0.0..=1.0, 0.01).tooltip(tooltip);
        let mut spec = Spec::new("EasyCache", "advanced/debug/model")
            .module("comfy_extras.nodes_easycache", Style::V3)
            .display("EasyCache")
            .input("model", link("MODEL"))
            .input("reuse_threshold", float(0.2, 0.0..=3.0, 0.01).tooltip("Has no meaning here: every step is computed."))
            .input("start_percent", share(0.15, "Share of the steps after which steps may be reused."))
            .input("end_percent", share(0.95, "Share of the steps after which steps are no longer reused."))
            .input("verbose", switch(false).tooltip("Has no meaning here."))
            .output("MODEL")
            .describe("In ComfyUI steps that would change little are skipped. Here every step is computed: the result is that without the node.");
        spec.experimental = true;
        spec
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        context.say("EasyCache reuses no steps here: every step is computed, which takes longer and loses nothing.");
        one(Value::Object(inputs.object::<Transformer>("model")?))
    }
}
