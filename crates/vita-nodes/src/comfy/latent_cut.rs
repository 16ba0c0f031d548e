//! `LatentCut`: a part of a latent.

use super::latent_concat::axis_of;
use crate::prelude::*;

pub struct LatentCut;

impl Node for LatentCut {
    fn spec(&self) -> Spec {
        Spec::new("LatentCut", "latent/advanced")
            .module("comfy_extras.nodes_latent", Style::V3)
            .input("samples", link("LATENT"))
            .input("dim", combo(["x", "y", "t"]).tooltip("Columns, rows or frames."))
            .input("index", int(0, -SIDE_MAX..=SIDE_MAX, 1).tooltip("The first; less than 0 counts from the end."))
            .input("amount", int(1, 1..=SIDE_MAX, 1).tooltip("How many, as far as there are."))
            .output("LATENT")
            .describe("Cuts a part out of a latent.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let axis = axis_of(inputs.text("dim")?)?;
        let (index, amount) = (inputs.int("index")?, inputs.count("amount")?);
        one(inputs.object::<Latents>("samples")?.map(|_, samples| {
            let length = samples.dims()[axis];
            let start = if index < 0 { length as i128 + index.max(-(length as i128)) } else { index };
            let start = (start as usize).min(length - 1);
            Ok(samples.narrow(axis, start, amount.min(length - start)).to_contiguous_f32())
        })?)
    }
}
