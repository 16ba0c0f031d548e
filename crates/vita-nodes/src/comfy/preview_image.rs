//! `PreviewImage`: pictures under the node, kept until the next start.

use serde_json::json;
use vita_folders::Place;

use crate::prelude::*;
use crate::save::{Numbered, preview_prefix, save_pictures};

pub struct PreviewImage;

impl Node for PreviewImage {
    fn spec(&self) -> Spec {
        Spec::new("PreviewImage", "image")
            .display("Preview Image")
            .input("images", link("IMAGE"))
            .hidden(Hidden::Prompt)
            .hidden(Hidden::ExtraPngInfo)
            .output_node()
            .describe("Shows pictures; they are not kept among the results.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let image = inputs.object::<Image>("images")?;
        let numbered = Numbered { place: Place::Temp, prefix: &preview_prefix(context), level: 1 };
        let files = save_pictures(&image, &numbered, context)?;
        Ok(Outputs::default().with_ui(json!({ "images": files })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, image};

    #[test]
    fn previews_have_names_of_their_own() {
        let bench = Bench::new().with("images", image(2, 4, 4));
        let mut names = Vec::new();
        for _ in 0..2 {
            let ui = bench.run(&PreviewImage).unwrap().ui.unwrap();
            assert_eq!(ui["images"][0]["type"], "temp");
            let name = ui["images"][1]["filename"].as_str().unwrap().to_owned();
            assert!(name.starts_with("ComfyUI_temp_") && name.ends_with("_00002_.png"), "{name}");
            names.push(name);
        }
        assert_ne!(names[0], names[1]);
        assert_eq!(bench.names("temp").len(), 4);
    }
}
