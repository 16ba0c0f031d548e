//! `WanImageToVideo`: a video that begins with given pictures.

use vita_pipeline::Stage;
use vita_pipeline::image_to_video::native;

use crate::image_to_video::{features, outputs, pictures};
use crate::prelude::*;
use crate::wan_size::{batch_size, length, side, video_size};
use crate::work::run;

pub struct WanImageToVideo;

impl Node for WanImageToVideo {
    fn spec(&self) -> Spec {
        Spec::new("WanImageToVideo", "conditioning/video_models")
            .module("comfy_extras.nodes_wan", Style::V3)
            .input("positive", link("CONDITIONING"))
            .input("negative", link("CONDITIONING"))
            .input("vae", link("VAE"))
            .input("width", side(832, 16))
            .input("height", side(480, 16))
            .input("length", length(81))
            .input("batch_size", batch_size())
            .optional(
                "clip_vision_output",
                link("CLIP_VISION_OUTPUT").tooltip("What Wan 2.1 models want of the first frame."),
            )
            .optional("start_image", link("IMAGE").tooltip("The first frames; cut and scaled to the size."))
            .output_named("CONDITIONING", "positive")
            .output_named("CONDITIONING", "negative")
            .output_named("LATENT", "latent")
            .describe("Leads an image-to-video model from the first frames on.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let size = video_size(inputs)?;
        let vae = inputs.object::<Vae>("vae")?;
        let start = pictures(inputs, "start_image")?;
        let known = run(context, Stage::Image, |environment| {
            native::image_to_video(&vae, start.as_ref().map(Image::tensor), size, environment)
        })?;
        outputs(inputs, known, features(inputs, &["clip_vision_output"])?, size)
    }
}
