//! `EasyCache`: steps that resemble the last are left out.

use vita_pipeline::{ReuseCache, ReusePlace, Span};

use crate::prelude::*;

pub struct EasyCache;

impl Node for EasyCache {
    fn spec(&self) -> Spec {
        let share = |default: f64, tooltip| float(default, 0.0..=1.0, 0.01).tooltip(tooltip);
        let mut spec = Spec::new("EasyCache", "advanced/debug/model")
            .module("comfy_extras.nodes_easycache", Style::V3)
            .display("EasyCache")
            .input("model", link("MODEL"))
            .input("reuse_threshold", float(0.2, 0.0..=3.0, 0.01).tooltip("More leaves out more steps."))
            .input("start_percent", share(0.15, "Share of the steps after which steps may be reused."))
            .input("end_percent", share(0.95, "Share of the steps after which steps are no longer reused."))
            .input("verbose", switch(false).tooltip("Has no meaning here."))
            .output("MODEL")
            .describe("Leaves out steps in which the latent would change little, and repeats what the model added before: faster, and a little different.");
        spec.experimental = true;
        spec
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let model = inputs.object::<Transformer>("model")?;
        let span = Span { start: inputs.float("start_percent")?, end: inputs.float("end_percent")? };
        let threshold = inputs.float("reuse_threshold")?;
        let cache = ReuseCache { threshold, span, place: ReusePlace::Velocity };
        one(Value::object(model.patched(|patches| patches.reuse_cache = Some(cache))))
    }
}
