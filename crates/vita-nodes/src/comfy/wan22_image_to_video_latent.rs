//! `Wan22ImageToVideoLatent`: a latent whose first frames are given pictures.

use vita_pipeline::Stage;
use vita_pipeline::image_to_video::native;

use crate::image_to_video::pictures;
use crate::prelude::*;
use crate::wan_size::{batch_size, length, side, video_size};
use crate::work::run;

pub struct Wan22ImageToVideoLatent;

impl Node for Wan22ImageToVideoLatent {
    fn spec(&self) -> Spec {
        Spec::new("Wan22ImageToVideoLatent", "conditioning/inpaint")
            .module("comfy_extras.nodes_wan", Style::V3)
            .input("vae", link("VAE"))
            .input("width", side(1280, 32))
            .input("height", side(704, 32))
            .input("length", length(49))
            .input("batch_size", batch_size())
            .optional("start_image", link("IMAGE").tooltip("The first frames; cut and scaled to the size."))
            .output("LATENT")
            .describe("What Wan 2.2 TI2V starts from: nothing, or given first frames that are kept.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let size = video_size(inputs)?;
        let vae = inputs.object::<Vae>("vae")?;
        // The size is checked before anything of it is made.
        let [channels, frames, rows, columns] = [48, size.latent_frames(), size.height / 16, size.width / 16];
        let count = if inputs.has("start_image") { inputs.count("batch_size")? } else { 1 };
        Latents::zeros(count, [channels, frames, rows, columns])?;
        let start = pictures(inputs, "start_image")?;
        let latent = run(context, Stage::Image, |environment| {
            native::image_latent(&vae, start.as_ref().map(Image::tensor), size, environment)
        })?;
        one(Latents::new(vec![latent; count]))
    }
}
