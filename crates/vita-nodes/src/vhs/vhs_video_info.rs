//! `VHS_VideoInfo`: what is known of a loaded video, number by number.

use super::spec;
use crate::prelude::*;

pub struct VideoInfo;

/// Of the file, then of what was loaded: key, type, label.
const NUMBERS: [(&str, &str, &str); 10] = [
    ("source_fps", "FLOAT", "source_fps🟨"),
    ("source_frame_count", "INT", "source_frame_count🟨"),
    ("source_duration", "FLOAT", "source_duration🟨"),
    ("source_width", "INT", "source_width🟨"),
    ("source_height", "INT", "source_height🟨"),
    ("loaded_fps", "FLOAT", "loaded_fps🟦"),
    ("loaded_frame_count", "INT", "loaded_frame_count🟦"),
    ("loaded_duration", "FLOAT", "loaded_duration🟦"),
    ("loaded_width", "INT", "loaded_width🟦"),
    ("loaded_height", "INT", "loaded_height🟦"),
];

impl Node for VideoInfo {
    fn spec(&self) -> Spec {
        let info = link("VHS_VIDEOINFO").tooltip("What a node that loads videos tells.");
        let spec = spec("VHS_VideoInfo", "Video Info 🎥🅥🅗🅢").input("video_info", info);
        NUMBERS
            .into_iter()
            .fold(spec, |spec, (_, kind, label)| spec.output_named(kind, label))
            .describe("Rate, length and size of a video's file, and of what was loaded of it.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let Some(Value::Json(info)) = inputs.get("video_info") else {
            return Err(NodeError::value("`video_info` does not come from a node that loads videos"));
        };
        Ok(Outputs::values(NUMBERS.map(|(key, ..)| Value::of_json(&info[key]))))
    }
}
