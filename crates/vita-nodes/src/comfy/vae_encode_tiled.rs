//! `VAEEncodeTiled`: pictures to a latent, in squares.

use crate::prelude::*;
use crate::vae_work::{encode, tiles};

pub struct VAEEncodeTiled;

impl Node for VAEEncodeTiled {
    fn spec(&self) -> Spec {
        Spec::new("VAEEncodeTiled", "_for_testing")
            .display("VAE Encode (Tiled)")
            .input("pixels", link("IMAGE"))
            .input("vae", link("VAE"))
            .input("tile_size", int(512, 64..=4096, 64).tooltip("Pixels of a square; smaller ones take less memory."))
            .input(
                "overlap",
                int(64, 0..=4096, 32).tooltip("Pixels that neighbours share, a quarter of the side at most."),
            )
            .input(
                "temporal_size",
                int(64, 8..=4096, 4).tooltip("Has no meaning here: frames are taken in order, as many as fit."),
            )
            .input("temporal_overlap", int(8, 4..=4096, 4).tooltip("Has no meaning here: nothing is cut in time."))
            .output("LATENT")
            .describe("Turns pictures into a latent video piece by piece, which takes less memory.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        one(encode(inputs, tiles(inputs)?, context)?)
    }
}
