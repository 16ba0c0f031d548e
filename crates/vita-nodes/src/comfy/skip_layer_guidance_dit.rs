//! `SkipLayerGuidanceDiT`: guidance away from a model with fewer layers.

use crate::prelude::*;
use crate::work::not_yet;

pub struct SkipLayerGuidanceDiT;

impl Node for SkipLayerGuidanceDiT {
    fn spec(&self) -> Spec {
        let percent = |default: f64, tooltip| float(default, 0.0..=1.0, 0.001).tooltip(tooltip);
        let mut spec = Spec::new("SkipLayerGuidanceDiT", "advanced/guidance")
            .module("comfy_extras.nodes_slg", Style::V3)
            .input("model", link("MODEL"))
            .input("double_layers", text("7, 8, 9").tooltip("Blocks that are left out, from 0."))
            .input("single_layers", text("7, 8, 9").tooltip("Of models with single blocks; Wan has none."))
            .input("scale", float(3.0, 0.0..=10.0, 0.1).tooltip("How strongly it leads; 0 is off."))
            .input("start_percent", percent(0.01, "Share of the way after which it begins."))
            .input("end_percent", percent(0.15, "Share of the way after which it ends."))
            .input("rescaling_scale", float(0.0, 0.0..=10.0, 0.01).tooltip("How much the contrast is held."))
            .output("MODEL")
            .describe("Leads away from what the model makes when some of its blocks are left out.");
        spec.experimental = true;
        spec
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let model = inputs.object::<Transformer>("model")?;
        let names_layers = |name| inputs.text(name).map(|text| text.contains(|c: char| c.is_ascii_digit()));
        let does_something = names_layers("double_layers")? || names_layers("single_layers")?;
        if does_something && inputs.float("scale")? > 0.0 {
            return Err(not_yet("skip-layer guidance"));
        }
        one(Value::Object(model))
    }
}
