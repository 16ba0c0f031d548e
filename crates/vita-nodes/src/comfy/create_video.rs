//! `CreateVideo`: pictures and sound as a video.

use vita_media::FrameRate;

use crate::prelude::*;

pub struct CreateVideo;

impl Node for CreateVideo {
    fn spec(&self) -> Spec {
        Spec::new("CreateVideo", "image/video")
            .module("comfy_extras.nodes_video", Style::V3)
            .display("Create Video")
            .input("images", link("IMAGE").tooltip("The pictures in order."))
            .input("fps", float(30.0, 1.0..=120.0, 1.0).tooltip("Pictures per second."))
            .optional("audio", link("AUDIO").tooltip("Sound that is played with them."))
            .output("VIDEO")
            .describe("Makes a video of pictures.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let frame_rate = FrameRate::from_f64(inputs.float("fps")?).map_err(|error| NodeError::of(&error))?;
        let images = inputs.object::<Image>("images")?;
        let audio = inputs.optional::<Audio>("audio")?;
        one(Video { source: VideoSource::Frames { images, frame_rate, audio } })
    }
}
