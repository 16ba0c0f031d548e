//! `MaskPreview`: masks under the node.

use serde_json::json;
use vita_folders::Place;

use crate::prelude::*;
use crate::save::{Numbered, preview_prefix, save_pictures};

pub struct MaskPreview;

impl Node for MaskPreview {
    fn spec(&self) -> Spec {
        Spec::new("MaskPreview", "mask")
            .module("comfy_extras.nodes_mask", Style::V3)
            .display("Preview Mask")
            .input("mask", link("MASK"))
            .hidden(Hidden::Prompt)
            .hidden(Hidden::ExtraPngInfo)
            .output_node()
            .describe("Shows masks as grey pictures; they are not kept among the results.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let image = inputs.object::<Mask>("mask")?.to_image().rgb();
        let numbered = Numbered { place: Place::Temp, prefix: &preview_prefix(context), level: 4 };
        let files = save_pictures(&image, &numbered, context)?;
        Ok(Outputs::default().with_ui(json!({ "images": files, "animated": [false] })))
    }
}
