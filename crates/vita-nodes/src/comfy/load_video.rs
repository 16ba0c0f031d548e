//! `LoadVideo`: a video file.

use std::time::UNIX_EPOCH;

use vita_graph::{Host, Refusal};

use crate::prelude::*;
use crate::studio::{INPUT_VIDEOS, Studio, studio};

pub struct LoadVideo;

impl Node for LoadVideo {
    fn spec(&self) -> Spec {
        Spec::new("LoadVideo", "image/video")
            .module("comfy_extras.nodes_video", Style::V3)
            .display("Load Video")
            .input("file", files(INPUT_VIDEOS).extra("video_upload", true))
            .output("VIDEO")
            .describe("A video of the input directory.")
    }

    fn judges(&self) -> &'static [&'static str] {
        &["file"]
    }

    fn refuse(&self, inputs: &Inputs, host: &dyn Host) -> Vec<Refusal> {
        let Ok(name) = inputs.text("file") else { return Vec::new() };
        match studio(host).folders.annotated(name) {
            Ok(_) => Vec::new(),
            Err(_) => vec![Refusal { input: "file".into(), reason: Some(format!("Invalid video file: {name}")) }],
        }
    }

    /// When the file was changed: videos are too large to be read for a hash.
    fn stamp(&self, inputs: &Inputs, context: &Context<'_>) -> Result<Option<String>, NodeError> {
        let path = context.host::<Studio>().folders.annotated(inputs.text("file")?);
        let path = path.map_err(|error| NodeError::of(&error))?;
        let changed = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
        let changed =
            changed.map_err(|error| NodeError::value(format!("cannot read `{}`: {error}", path.display())))?;
        Ok(Some(changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64().to_string()))
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let path = context.host::<Studio>().folders.annotated(inputs.text("file")?);
        one(Video { source: VideoSource::File(path.map_err(|error| NodeError::of(&error))?) })
    }
}
