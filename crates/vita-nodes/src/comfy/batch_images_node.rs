//! `BatchImagesNode`: any number of batches as one.

use crate::batch::join_images;
use crate::prelude::*;

pub struct BatchImagesNode;

impl Node for BatchImagesNode {
    fn spec(&self) -> Spec {
        let item = Field { name: "image".into(), ..link("IMAGE") };
        let images = Kind::Autogrow { item: Box::new(item), names: Vec::new(), prefix: "image", min: 2, max: 50 };
        Spec::new("BatchImagesNode", "image")
            .module("comfy_extras.nodes_post_processing", Style::V3)
            .display("Batch Images")
            .input("images", field(images))
            .output("IMAGE")
            .describe("Puts pictures one behind the other, cut and scaled to the size of the first.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let mut names: Vec<&str> = inputs.names().filter(|name| name.starts_with("images.")).collect();
        names.sort_by_key(|name| name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse::<usize>().ok());
        let images = names.into_iter().map(|name| inputs.object::<Image>(name)).collect::<Result<Vec<_>, _>>()?;
        if images.is_empty() {
            return Err(NodeError::value("`images` has no picture"));
        }
        one(join_images(&images)?)
    }
}
