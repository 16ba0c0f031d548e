//! `WanFirstLastFrameToVideo`: a video between given pictures.

use vita_pipeline::Stage;
use vita_pipeline::image_to_video::native;

use crate::image_to_video::{features, outputs, pictures};
use crate::prelude::*;
use crate::wan_size::{batch_size, length, side, video_size};
use crate::work::run;

pub struct WanFirstLastFrameToVideo;

impl Node for WanFirstLastFrameToVideo {
    fn spec(&self) -> Spec {
        Spec::new("WanFirstLastFrameToVideo", "conditioning/video_models")
            .module("comfy_extras.nodes_wan", Style::V3)
            .input("positive", link("CONDITIONING"))
            .input("negative", link("CONDITIONING"))
            .input("vae", link("VAE"))
            .input("width", side(832, 16))
            .input("height", side(480, 16))
            .input("length", length(81))
            .input("batch_size", batch_size())
            .optional("clip_vision_start_image", link("CLIP_VISION_OUTPUT"))
            .optional("clip_vision_end_image", link("CLIP_VISION_OUTPUT"))
            .optional("start_image", link("IMAGE").tooltip("The first frames; cut and scaled to the size."))
            .optional("end_image", link("IMAGE").tooltip("The last frames; cut and scaled to the size."))
            .output_named("CONDITIONING", "positive")
            .output_named("CONDITIONING", "negative")
            .output_named("LATENT", "latent")
            .describe("Leads an image-to-video model between first and last frames.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        first_last(inputs, &["clip_vision_start_image", "clip_vision_end_image"], context)
    }
}

/// What this node and `WanFunInpaintToVideo` do; they differ in the names of the features.
pub(crate) fn first_last(inputs: &Inputs, clip: &[&str], context: &mut Context<'_>) -> Result<Outputs, NodeError> {
    let size = video_size(inputs)?;
    let vae = inputs.object::<Vae>("vae")?;
    let (start, end) = (pictures(inputs, "start_image")?, pictures(inputs, "end_image")?);
    let [start, end] = [&start, &end].map(|image| image.as_ref().map(Image::tensor));
    let known =
        run(context, Stage::Image, |environment| native::first_last_frame(&vae, start, end, size, environment))?;
    outputs(inputs, Some(known), features(inputs, clip)?, size)
}
