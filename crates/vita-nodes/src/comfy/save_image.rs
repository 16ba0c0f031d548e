//! `SaveImage`: pictures as PNG files.

use serde_json::json;

use crate::prelude::*;
use crate::save::{Target, save_pictures};

pub struct SaveImage;

impl Node for SaveImage {
    fn spec(&self) -> Spec {
        Spec::new("SaveImage", "image")
            .display("Save Image")
            .input("images", link("IMAGE").tooltip("What is saved; each picture becomes a file."))
            .input("filename_prefix", text("ComfyUI").tooltip(PREFIX))
            .hidden(Hidden::Prompt)
            .hidden(Hidden::ExtraPngInfo)
            .output_node()
            .describe("Saves pictures in the output directory, with the workflow inside.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let image = inputs.object::<Image>("images")?;
        let target = Target::Results { prefix: inputs.text("filename_prefix")? };
        let files = save_pictures(&image, &target, context)?;
        Ok(Outputs::default().with_ui(json!({ "images": files })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, image};

    #[test]
    fn files_are_numbered_and_hold_the_prompt() {
        let bench = Bench::new().with("images", image(2, 4, 6));
        let bench = bench.with("filename_prefix", Value::text("a/%year%_%width%x%height%_%batch_num%"));
        let first = bench.run(&SaveImage).unwrap().ui.unwrap();
        let entry = |name: &str| json!({ "filename": name, "subfolder": "a", "type": "output" });
        assert_eq!(first, json!({ "images": [entry("2031_6x4_0_00001_.png"), entry("2031_6x4_1_00002_.png")] }));
        let path = bench.directory().join("output/a/2031_6x4_1_00002_.png");
        let metadata = vita_media::read_metadata(&path).unwrap();
        assert_eq!(metadata["prompt"], r#"{"1": {"class_type": "Test", "inputs": {}}}"#);
        assert_eq!(metadata["workflow"], r#"{"id": "w"}"#);
        assert_eq!(vita_media::read_image(&path).unwrap().as_bytes(), image(2, 4, 6).bytes(1));
        assert_eq!(bench.names("output/a").len(), 2);

        let escape = bench.with("filename_prefix", Value::text("../x"));
        assert!(escape.run(&SaveImage).unwrap_err().to_string().contains("../x"));
    }

    #[test]
    fn numbers_go_on() {
        let bench = Bench::new().with("images", image(1, 4, 4)).with("filename_prefix", Value::text("n"));
        for want in ["n_00001_.png", "n_00002_.png"] {
            assert_eq!(bench.run(&SaveImage).unwrap().ui.unwrap()["images"][0]["filename"], want);
        }
    }
}
