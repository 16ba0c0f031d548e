//! `PreviewImage`: pictures under the node, kept until the next start.

use serde_json::json;

use crate::prelude::*;
use crate::save::{Target, save_pictures};

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
        let files = save_pictures(&image, &Target::Previews { level: 1 }, context)?;
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
        for ending in ["_00002_.png", "_00004_.png"] {
            let ui = bench.run(&PreviewImage).unwrap().ui.unwrap();
            assert_eq!(ui["images"][0]["type"], "temp");
            let name = ui["images"][1]["filename"].as_str().unwrap();
            let letters = name.strip_prefix("ComfyUI_temp_").and_then(|rest| rest.strip_suffix(ending)).unwrap();
            assert!(letters.len() == 5 && letters.bytes().all(|byte| byte.is_ascii_lowercase()), "{name}");
        }
        assert_eq!(bench.names("temp").len(), 4);
        std::fs::remove_dir_all(bench.directory().join("temp")).unwrap();
        bench.run(&PreviewImage).unwrap();
        assert_eq!(bench.names("temp").len(), 2);
    }
}
