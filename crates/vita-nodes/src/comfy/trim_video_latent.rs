//! `TrimVideoLatent`: a latent video without its first frames.

use crate::prelude::*;

pub struct TrimVideoLatent;

impl Node for TrimVideoLatent {
    fn spec(&self) -> Spec {
        Spec::new("TrimVideoLatent", "latent/video")
            .module("comfy_extras.nodes_wan", Style::V3)
            .input("samples", link("LATENT"))
            .input("trim_amount", whole(0, 0..=99_999).tooltip("Latent frames that are dropped at the beginning."))
            .output("LATENT")
            .describe("Drops the first frames of a latent video.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let amount = inputs.count("trim_amount")?;
        one(inputs.object::<Latents>("samples")?.map(|_, samples| {
            let frames = samples.dims()[1];
            match amount < frames {
                true => Ok(samples.narrow(1, amount, frames - amount).to_contiguous_f32()),
                false => {
                    Err(NodeError::value(format!("`trim_amount` {amount} leaves nothing of {frames} latent frames")))
                }
            }
        })?)
    }
}
