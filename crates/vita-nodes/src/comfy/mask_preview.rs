//! `MaskPreview`: masks under the node.

use serde_json::json;

use crate::prelude::*;
use crate::save::{Target, save_pictures};

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
        let files = save_pictures(&image, &Target::Previews { level: 4 }, context)?;
        Ok(Outputs::default().with_ui(json!({ "images": files, "animated": [false] })))
    }
}
