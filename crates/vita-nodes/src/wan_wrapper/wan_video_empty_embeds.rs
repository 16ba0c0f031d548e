//! `WanVideoEmptyEmbeds`: the size of a video that starts from a prompt alone.

use vita_pipeline::image_to_video::VideoSize;

use super::data::ImageEmbeds;
use super::extra_latents::add;
use super::fields::{frames, side, spec};
use crate::prelude::*;
use crate::work::not_yet;

pub struct WanVideoEmptyEmbeds;

impl Node for WanVideoEmptyEmbeds {
    fn spec(&self) -> Spec {
        let extra = "First latent frames of the video, which are kept: the start image of Wan 2.2 TI2V.";
        spec("WanVideoEmptyEmbeds", "WanVideo Empty Embeds")
            .input("width", side(832))
            .input("height", side(480))
            .input("num_frames", frames())
            .optional("control_embeds", link("WANVIDIMAGE_EMBEDS").tooltip("Is refused: controls are not built in."))
            .optional("extra_latents", link("LATENT").tooltip(extra))
            .output_named("WANVIDIMAGE_EMBEDS", "image_embeds")
            .describe("The size of a video that is made from a prompt alone.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        if inputs.has("control_embeds") {
            return Err(not_yet("leading a model by a control video (`control_embeds`)"));
        }
        let size = VideoSize {
            width: inputs.count("width")?,
            height: inputs.count("height")?,
            frames: inputs.count("num_frames")?,
        };
        let mut embeds = ImageEmbeds::of_size(size);
        if let Some(latents) = inputs.optional::<Latents>("extra_latents")? {
            add(&mut embeds, &latents, 0)?;
        }
        one(Value::object(embeds))
    }
}
