//! `EmptyHunyuanLatentVideo`: a latent video of nothing.

use crate::prelude::*;
use crate::wan_size::{batch_size, latent_dims, length, side, video_size};

pub struct EmptyHunyuanLatentVideo;

impl Node for EmptyHunyuanLatentVideo {
    fn spec(&self) -> Spec {
        Spec::new("EmptyHunyuanLatentVideo", "latent/video")
            .module("comfy_extras.nodes_hunyuan", Style::V3)
            .display("Empty HunyuanVideo 1.0 Latent")
            .input("width", side(848, 16))
            .input("height", side(480, 16))
            .input("length", length(25))
            .input("batch_size", batch_size())
            .output("LATENT")
            .describe("What text to video starts from. Wan's latents have the same form as HunyuanVideo's.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(Latents::zeros(inputs.count("batch_size")?, latent_dims(video_size(inputs)?))?)
    }
}
