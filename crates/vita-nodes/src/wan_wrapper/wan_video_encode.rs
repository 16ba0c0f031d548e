//! `WanVideoEncode`: pictures to a latent video on the transformer's scale.

use vita_pipeline::image_to_video::wrapper::encode;
use vita_pipeline::{DecodeOptions, Latent, Stage};

use super::fields::{OrElse, spec};
use super::pictures::{strength, weighted};
use super::tiles::{NARROWER, tile_fields, tiles};
use crate::prelude::*;
use crate::work::{not_yet, run};

pub struct WanVideoEncode;

impl Node for WanVideoEncode {
    fn spec(&self) -> Spec {
        let tiling = "Encodes in squares that overlap: less memory, and seams where they meet.";
        tile_fields(
            spec("WanVideoEncode", "WanVideo Encode")
                .input("vae", link("WANVAE").tooltip("The autoencoder."))
                .input("image", link("IMAGE").tooltip("The pictures; sides are scaled to multiples of 16."))
                .input("enable_vae_tiling", switch(false).tooltip(tiling)),
            NARROWER,
        )
        .optional("noise_aug_strength", strength(0.0, "Noise upon pictures; above 0 is refused, not built in yet."))
        .optional("latent_strength", strength(1.0, "What the latent is multiplied by."))
        .optional(
            "mask",
            link("MASK").tooltip("What is made anew; the sampler refuses it, for it is not built in yet."),
        )
        .output_named("LATENT", "samples")
        .describe("Turns pictures into a latent video.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        if inputs.float_or("noise_aug_strength", 0.0)? > 0.0 {
            return Err(not_yet("noise upon pictures (`noise_aug_strength` above 0)"));
        }
        let vae = inputs.object::<Vae>("vae")?;
        let image = inputs.object::<Image>("image")?.rgb();
        let options = DecodeOptions { tile: tiles(inputs)? };
        let latent = run(context, Stage::Image, |environment| encode(&vae, image.tensor(), options, environment))?;
        let samples = weighted(&latent.samples, inputs.float_or("latent_strength", 1.0)?);
        let noise_mask = inputs.optional::<crate::data::Mask>("mask")?.map(|mask| mask.tensor().clone());
        one(Latents::from(Latent { samples, noise_mask, ..latent }))
    }
}
