//! `SaveVideo`: a video as a file.

use serde_json::json;
use vita_folders::{Naming, Place};

use crate::prelude::*;
use crate::save::{next_path, shown, texts};
use crate::video_file::write_mp4;

pub struct SaveVideo;

impl Node for SaveVideo {
    fn spec(&self) -> Spec {
        Spec::new("SaveVideo", "image/video")
            .module("comfy_extras.nodes_video", Style::V3)
            .display("Save Video")
            .input("video", link("VIDEO").tooltip("What is saved."))
            .input("filename_prefix", text("video/ComfyUI").tooltip(PREFIX))
            .input("format", combo(["auto", "mp4"]).default_choice("auto").tooltip("The kind of file; both are MP4."))
            .input(
                "codec",
                combo(["auto", "h264"]).default_choice("auto").tooltip("How pictures are coded; both are H.264."),
            )
            .hidden(Hidden::Prompt)
            .hidden(Hidden::ExtraPngInfo)
            .output_node()
            .describe("Saves a video in the output directory, with the workflow inside.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let parts = inputs.object::<Video>("video")?.parts(context)?;
        let size = [parts.images.width(), parts.images.height()];
        let path = next_path(context, Place::Output, Naming::Core, inputs.text("filename_prefix")?, size)?;
        let texts = texts(context);
        write_mp4(&path.path("mp4"), &parts, texts, context)?;
        let file = shown(&path.file_name(path.counter, "mp4"), &path, Place::Output);
        Ok(Outputs::default().with_ui(json!({ "images": [file], "animated": [true] })))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vita_base::Cancel;
    use vita_media::FrameRate;

    use super::*;
    use crate::comfy::{get_video_components::GetVideoComponents, load_video::LoadVideo};
    use crate::testing::{Bench, image};

    fn video(count: usize, height: usize, width: usize) -> Video {
        let images = Arc::new(image(count, height, width));
        let frame_rate = FrameRate::from_f64(16.0).unwrap();
        Video { source: VideoSource::Frames { images, frame_rate, audio: None } }
    }

    fn bench(video: Video) -> Bench {
        Bench::new().with("video", video).with("filename_prefix", Value::text("video/ComfyUI"))
    }

    #[test]
    fn a_saved_video_can_be_loaded_and_taken_apart() {
        let bench = bench(video(5, 32, 48));
        let ui = bench.run(&SaveVideo).unwrap().ui.unwrap();
        let file = json!({ "filename": "ComfyUI_00001_.mp4", "subfolder": "video", "type": "output" });
        assert_eq!(ui, json!({ "images": [file], "animated": [true] }));
        let metadata = vita_media::read_metadata(bench.directory().join("output/video/ComfyUI_00001_.mp4")).unwrap();
        assert_eq!(metadata["workflow"], r#"{"id": "w"}"#);
        assert!(metadata["prompt"].starts_with(r#"{"1": {"#));

        let bench = bench.with("file", Value::text("video/ComfyUI_00001_.mp4 [output]"));
        let loaded = bench.run(&LoadVideo).unwrap().value(0).clone();
        let parts = bench.with("video", loaded).run(&GetVideoComponents).unwrap();
        assert_eq!(parts.object::<Image>(0).sizes(), [5, 32, 48, 3]);
        assert!(matches!(parts.value(1), Value::Null));
        assert!(matches!(parts.value(2), Value::Float(16.0)));
    }

    #[test]
    fn nothing_is_left_of_what_fails_or_is_stopped() {
        let odd = bench(video(2, 31, 48));
        assert!(odd.run(&SaveVideo).is_err());
        assert!(odd.names("output/video").is_empty());
        let cancel = Cancel::default();
        cancel.cancel();
        let stopped = bench(video(2, 32, 48));
        assert!(matches!(stopped.run_observed(&SaveVideo, &mut (), &cancel), Err(NodeError::Interrupted)));
        assert!(stopped.names("output/video").is_empty());
        let audio = Audio { file: "sound.wav".into() };
        let VideoSource::Frames { images, frame_rate, .. } = video(2, 32, 48).source else { unreachable!() };
        let source = VideoSource::Frames { images, frame_rate, audio: Some(Arc::new(audio)) };
        let error = bench(Video { source }).run(&SaveVideo).unwrap_err();
        assert_eq!(error.to_string(), "the sound of a video is written by FFmpeg, and there is none on this machine");
    }
}
