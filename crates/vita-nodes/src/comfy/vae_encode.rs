//! `VAEEncode`: pictures to a latent.

use vita_pipeline::DecodeOptions;

use crate::prelude::*;
use crate::vae_work::encode;

pub struct VAEEncode;

impl Node for VAEEncode {
    fn spec(&self) -> Spec {
        Spec::new("VAEEncode", "latent")
            .display("VAE Encode")
            .input("pixels", link("IMAGE"))
            .input("vae", link("VAE"))
            .output("LATENT")
            .describe("Turns pictures into a latent video. What does not fill a latent pixel is cut off on both sides.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(encode(inputs, DecodeOptions::default(), context)?)
    }
}
