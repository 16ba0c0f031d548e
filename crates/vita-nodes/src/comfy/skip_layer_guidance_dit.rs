//! `SkipLayerGuidanceDiT`: guidance away from a model with fewer layers.

use vita_pipeline::{SkipLayers, Span};

use crate::layers::block_numbers;
use crate::prelude::*;

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

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let model = inputs.object::<Transformer>("model")?;
        let blocks = block_numbers(inputs.text("double_layers")?);
        let scale = inputs.float("scale")?;
        // A model led away from itself stays where it is.
        if scale <= 0.0 || blocks.iter().all(|&block| block >= model.config().layers) {
            context.say("SkipLayerGuidanceDiT changes nothing: its scale is 0, or the model has none of its blocks.");
            return one(Value::Object(model));
        }
        let span = Span { start: inputs.float("start_percent")?, end: inputs.float("end_percent")? };
        let skip = SkipLayers { blocks, scale, span, rescale: inputs.float("rescaling_scale")? };
        one(Value::object(model.patched(|patches| patches.skip_layers = Some(skip))))
    }
}
