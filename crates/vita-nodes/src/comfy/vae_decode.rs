//! `VAEDecode`: latents to pictures.

use vita_pipeline::DecodeOptions;

use crate::prelude::*;
use crate::vae_work::decode;

pub struct VAEDecode;

impl Node for VAEDecode {
    fn spec(&self) -> Spec {
        Spec::new("VAEDecode", "latent")
            .display("VAE Decode")
            .input("samples", link("LATENT").tooltip("What is decoded."))
            .input("vae", link("VAE").tooltip("The autoencoder."))
            .output("IMAGE")
            .describe("Turns a latent video into pictures.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(decode(inputs, DecodeOptions::default(), context)?)
    }
}
