//! `SaveWEBM`: pictures as a WebM file, written by FFmpeg.

use serde_json::json;
use vita_folders::{Naming, Place};
use vita_media::FrameRate;

use crate::ffmpeg::{Encode, encode};
use crate::prelude::*;
use crate::save::{next_path, shown, texts};
use crate::studio::Studio;

pub struct SaveWEBM;

impl Node for SaveWEBM {
    fn spec(&self) -> Spec {
        let crf = Kind::Float { default: Some(32.0), range: 0.0..=63.0, step: Some(1.0), round: None };
        let mut spec = Spec::new("SaveWEBM", "image/video")
            .module("comfy_extras.nodes_video", Style::V3)
            .input("images", link("IMAGE"))
            .input("filename_prefix", text("ComfyUI").tooltip(PREFIX))
            .input("codec", combo(["vp9", "av1"]))
            .input("fps", float(24.0, 0.01..=1000.0, 0.01).tooltip("Pictures per second."))
            .input("crf", field(crf).tooltip("Smaller is better and larger in bytes."))
            .hidden(Hidden::Prompt)
            .hidden(Hidden::ExtraPngInfo)
            .output_node()
            .describe("Saves pictures as a WebM file. Needs FFmpeg on the PATH.");
        spec.experimental = true;
        spec
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let images = inputs.object::<Image>("images")?.rgb();
        let program = context.host::<Studio>().ffmpeg("WebM files are written")?.to_owned();
        let size = [images.width(), images.height()];
        let path = next_path(context, Place::Output, Naming::Core, inputs.text("filename_prefix")?, size)?;
        let codec: &[&str] = match inputs.text("codec")? {
            "av1" => &["-c:v", "libsvtav1", "-pix_fmt", "yuv420p10le", "-preset", "6"],
            _ => &["-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p"],
        };
        let crf = inputs.float("crf")?.to_string();
        let arguments: Vec<String> =
            codec.iter().chain(&["-b:v", "0", "-crf", &crf]).map(|&argument| argument.to_owned()).collect();
        let frame_rate = FrameRate::from_f64(inputs.float("fps")?).map_err(|error| NodeError::of(&error))?;
        let metadata = texts(context);
        let job = Encode {
            program: &program,
            pixels: "rgb24",
            input: &[],
            frame_rate,
            arguments: &arguments,
            metadata: &metadata,
        };
        let mut frames = (0..images.count()).map(|index| images.bytes(index));
        encode(&job, size, &mut frames, &path.path("webm"), context)?;
        let file = shown(&path.file_name(path.counter, "webm"), &path, Place::Output);
        Ok(Outputs::default().with_ui(json!({ "images": [file], "animated": [true] })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::VideoSource;
    use crate::studio::Settings;
    use crate::testing::{Bench, image};

    fn bench(ffmpeg: Option<&str>) -> Bench {
        let settings = Settings { disable_metadata: false, ffmpeg: ffmpeg.map(Into::into) };
        let bench = Bench::with_settings(settings).with("images", image(3, 32, 32));
        let bench = bench.with("filename_prefix", Value::text("w")).with("codec", Value::text("vp9"));
        bench.with("fps", Value::Float(8.0)).with("crf", Value::Float(40.0))
    }

    #[test]
    fn without_ffmpeg_it_says_so() {
        let error = bench(None).run(&SaveWEBM).unwrap_err();
        assert_eq!(error.to_string(), "WebM files are written by FFmpeg, and there is none on this machine");
        let error = bench(Some("/nowhere/ffmpeg")).run(&SaveWEBM).unwrap_err().to_string();
        assert!(error.starts_with("cannot start FFmpeg (`/nowhere/ffmpeg`)"), "{error}");
    }

    #[test]
    fn with_ffmpeg_the_file_can_be_read_again() {
        if std::process::Command::new("ffmpeg").arg("-version").output().is_err() {
            eprintln!("skipped: there is no FFmpeg on this machine");
            return;
        }
        let bench = bench(Some("ffmpeg"));
        bench.run(&SaveWEBM).unwrap();
        assert_eq!(bench.names("output"), ["w_00001_.webm"]);
        let source = VideoSource::File(bench.directory().join("output/w_00001_.webm"));
        let bench = bench.with("video", Video { source });
        let parts = bench.run(&crate::comfy::get_video_components::GetVideoComponents).unwrap();
        assert_eq!(parts.object::<Image>(0).sizes(), [3, 32, 32, 3]);
        assert!(matches!(parts.value(2), Value::Float(8.0)));
    }
}
