//! `SaveAnimatedPNG`: pictures as an animated PNG file.

use serde_json::json;
use vita_folders::{Naming, Place};

use crate::pictures::{Animation, PngOptions, encode_png};
use crate::prelude::*;
use crate::save::{next_path, shown, texts, write_file};

pub struct SaveAnimatedPNG;

impl Node for SaveAnimatedPNG {
    fn spec(&self) -> Spec {
        Spec::new("SaveAnimatedPNG", "image/animation")
            .module("comfy_extras.nodes_images", Style::V3)
            .input("images", link("IMAGE"))
            .input("filename_prefix", text("ComfyUI").tooltip(PREFIX))
            .input("fps", float(6.0, 0.01..=1000.0, 0.01).tooltip("Pictures per second."))
            .input("compress_level", whole(4, 0..=9).tooltip("0 is fast and large, 9 slow and small."))
            .hidden(Hidden::Prompt)
            .hidden(Hidden::ExtraPngInfo)
            .output_node()
            .describe("Saves pictures as an animated PNG file, with the workflow inside.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let images = inputs.object::<Image>("images")?;
        let size = [images.width(), images.height()];
        let path = next_path(context, Place::Output, Naming::Core, inputs.text("filename_prefix")?, size)?;
        let frames: Vec<Vec<u8>> = (0..images.count()).map(|index| images.bytes(index)).collect();
        let options = PngOptions {
            size,
            channels: images.channels(),
            level: inputs.count("compress_level")? as u8,
            text: &texts(context),
            animation: Some(Animation { milliseconds: (1000.0 / inputs.float("fps")?) as u32 }),
        };
        write_file(&path.path("png"), Place::Output, &encode_png(&frames, &options)?)?;
        let file = shown(&path.file_name(path.counter, "png"), &path, Place::Output);
        Ok(Outputs::default().with_ui(json!({ "images": [file], "animated": [true] })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, image};

    #[test]
    fn the_workflow_is_behind_the_pixels() {
        let bench = Bench::new().with("images", image(2, 6, 8)).with("filename_prefix", Value::text("p"));
        let bench = bench.with("fps", Value::Float(0.01)).with("compress_level", Value::Int(4));
        bench.run(&SaveAnimatedPNG).unwrap();
        let bytes = std::fs::read(bench.directory().join("output/p_00001_.png")).unwrap();
        let at = |what: &[u8]| bytes.windows(what.len()).rposition(|window| window == what).unwrap();
        assert!(at(b"comfworkflow\0{\"id\": \"w\"}") > at(b"fdAT") && at(b"comfprompt\0{") > at(b"IDAT"));
    }
}
