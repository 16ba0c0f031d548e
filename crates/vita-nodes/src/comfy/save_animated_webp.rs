//! `SaveAnimatedWEBP`: pictures as an animated WebP file.

use serde_json::json;
use vita_folders::{Naming, Place};
use vita_media::{Frame, FrameRate, WebpEncoder, WebpOptions, WebpQuality};

use crate::prelude::*;
use crate::save::{next_path, shown, texts};

pub struct SaveAnimatedWEBP;

impl Node for SaveAnimatedWEBP {
    fn spec(&self) -> Spec {
        let method = combo(["default", "fastest", "slowest"]);
        Spec::new("SaveAnimatedWEBP", "image/animation")
            .module("comfy_extras.nodes_images", Style::V3)
            .input("images", link("IMAGE"))
            .input("filename_prefix", text("ComfyUI").tooltip(PREFIX))
            .input("fps", float(6.0, 0.01..=1000.0, 0.01).tooltip("Pictures per second."))
            .input("lossless", switch(true).tooltip("Keeps every pixel; several times larger."))
            .input("quality", whole(80, 0..=100).tooltip("Of a file that is not lossless: 100 is best."))
            .input("method", method.tooltip("How long it may take to save bytes; files are written with the default."))
            .hidden(Hidden::Prompt)
            .hidden(Hidden::ExtraPngInfo)
            .output_node()
            .describe("Saves pictures as an animated WebP file, with the workflow inside.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let failed = |error: vita_media::Error| NodeError::of(&error);
        let images = inputs.object::<Image>("images")?.rgb();
        let size = [images.width(), images.height()];
        let path = next_path(context, Place::Output, Naming::Core, inputs.text("filename_prefix")?, size)?;
        let quality = match inputs.bool("lossless")? {
            true => WebpQuality::Lossless,
            false => WebpQuality::Lossy(inputs.int("quality")? as f32),
        };
        let options = WebpOptions {
            frame_rate: FrameRate::from_f64(inputs.float("fps")?).map_err(failed)?,
            quality,
            loop_count: 0,
            metadata: texts(context).into_iter().collect(),
        };
        let [width, height] = size.map(|side| side as u32);
        let mut encoder = WebpEncoder::create(path.path("webp"), width, height, options).map_err(failed)?;
        for index in 0..images.count() {
            context.check()?;
            encoder.push(Frame::new(width, height, &images.bytes(index)).map_err(failed)?).map_err(failed)?;
            context.progress(index as u64 + 1, images.count() as u64);
        }
        encoder.finish().map_err(failed)?;
        let file = shown(&path.file_name(path.counter, "webp"), &path, Place::Output);
        let mut ui = json!({ "images": [file] });
        if images.count() > 1 {
            ui["animated"] = json!([true]);
        }
        Ok(Outputs::default().with_ui(ui))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::Pictures;
    use crate::testing::{Bench, image};

    #[test]
    fn a_lossless_file_holds_every_picture_and_the_workflow() {
        let bench = Bench::new().with("images", image(3, 6, 8)).with("filename_prefix", Value::text("w"));
        let bench = bench.with("fps", Value::Float(6.0)).with("lossless", Value::Bool(true));
        let bench = bench.with("quality", Value::Int(80)).with("method", Value::text("default"));
        assert_eq!(bench.run(&SaveAnimatedWEBP).unwrap().ui.unwrap()["animated"], json!([true]));
        let path = bench.directory().join("output/w_00001_.webp");
        let (read, _) = Pictures::read(&path).unwrap().into_image();
        assert_eq!([0, 1, 2].map(|i| read.bytes(i)), [0, 1, 2].map(|i| image(3, 6, 8).bytes(i)));
        assert_eq!(vita_media::read_metadata(path).unwrap()["workflow"], r#"{"id": "w"}"#);
    }
}
