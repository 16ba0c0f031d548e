//! `WanFunInpaintToVideo`: a video between given pictures, for the Fun models.

use super::wan_first_last_frame_to_video::first_last;
use crate::prelude::*;
use crate::wan_size::{batch_size, length, side};

pub struct WanFunInpaintToVideo;

impl Node for WanFunInpaintToVideo {
    fn spec(&self) -> Spec {
        Spec::new("WanFunInpaintToVideo", "conditioning/video_models")
            .module("comfy_extras.nodes_wan", Style::V3)
            .input("positive", link("CONDITIONING"))
            .input("negative", link("CONDITIONING"))
            .input("vae", link("VAE"))
            .input("width", side(832, 16))
            .input("height", side(480, 16))
            .input("length", length(81))
            .input("batch_size", batch_size())
            .optional("clip_vision_output", link("CLIP_VISION_OUTPUT"))
            .optional("start_image", link("IMAGE").tooltip("The first frames; cut and scaled to the size."))
            .optional("end_image", link("IMAGE").tooltip("The last frames; cut and scaled to the size."))
            .output_named("CONDITIONING", "positive")
            .output_named("CONDITIONING", "negative")
            .output_named("LATENT", "latent")
            .describe("Leads a Fun inpaint model between first and last frames.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        first_last(inputs, &["clip_vision_output"], context)
    }
}
