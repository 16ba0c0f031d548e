//! `VAEDecodeTiled`: latents to pictures, in squares.

use crate::prelude::*;
use crate::vae_work::{decode, tiles};

pub struct VAEDecodeTiled;

impl Node for VAEDecodeTiled {
    fn spec(&self) -> Spec {
        Spec::new("VAEDecodeTiled", "_for_testing")
            .display("VAE Decode (Tiled)")
            .input("samples", link("LATENT"))
            .input("vae", link("VAE"))
            .input("tile_size", int(512, 64..=4096, 32).tooltip("Pixels of a square; smaller ones take less memory."))
            .input(
                "overlap",
                int(64, 0..=4096, 32).tooltip("Pixels that neighbours share, a quarter of the side at most."),
            )
            .input(
                "temporal_size",
                int(64, 8..=4096, 4).tooltip("Has no meaning here: frames are taken in order, as many as fit."),
            )
            .input("temporal_overlap", int(8, 4..=4096, 4).tooltip("Has no meaning here: nothing is cut in time."))
            .output("IMAGE")
            .describe("Turns a latent video into pictures piece by piece, which takes less memory.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(decode(inputs, tiles(inputs)?, context)?)
    }
}
