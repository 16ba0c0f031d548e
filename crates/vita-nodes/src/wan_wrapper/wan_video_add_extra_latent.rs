//! `WanVideoAddExtraLatent`: latent frames that are kept, at any place of a video.

use super::data::ImageEmbeds;
use super::extra_latents::add;
use super::fields::spec;
use crate::prelude::*;

pub struct WanVideoAddExtraLatent;

impl Node for WanVideoAddExtraLatent {
    fn spec(&self) -> Spec {
        let place =
            int(0, -1000..=1000, 1).tooltip("Place of the first, in latent frames; below 0 it counts from the end.");
        spec("WanVideoAddExtraLatent", "WanVideo Add Extra Latent")
            .input("embeds", link("WANVIDIMAGE_EMBEDS").tooltip("The video."))
            .input("extra_latents", link("LATENT").tooltip("Latent frames that are kept as they are."))
            .input("latent_index", place)
            .output_named("WANVIDIMAGE_EMBEDS", "image_embeds")
            .describe("Gives a video latent frames that are kept while the others are made.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let mut embeds = (*inputs.object::<ImageEmbeds>("embeds")?).clone();
        add(&mut embeds, &*inputs.object::<Latents>("extra_latents")?, inputs.int("latent_index")?)?;
        one(Value::object(embeds))
    }
}
