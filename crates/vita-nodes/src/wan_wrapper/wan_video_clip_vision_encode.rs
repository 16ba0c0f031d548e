//! `WanVideoClipVisionEncode`: one or two pictures to features.

use vita_pipeline::{ClipCrop, below_each_other};

use super::data::ClipEmbeds;
use super::fields::{OrElse, force_offload, offload, spec};
use super::pictures::{added, clip_features, strength, weighted};
use crate::prelude::*;
use crate::work::not_yet;

pub struct WanVideoClipVisionEncode;

impl Node for WanVideoClipVisionEncode {
    fn spec(&self) -> Spec {
        let combine = combo(["average", "sum", "concat", "batch"]);
        let how = "How the features of several pictures become one; `concat` is for first and last frames. `batch` is refused, for there are no windows yet.";
        let tiles = int(0, 0..=16, 2).tooltip("Encodes in parts; above 0 is refused, for it is not built in.");
        spec("WanVideoClipVisionEncode", "WanVideo ClipVision Encode")
            .input("clip_vision", link("CLIP_VISION").tooltip("The vision encoder."))
            .input("image_1", link("IMAGE").tooltip("The first frame."))
            .input("strength_1", strength(1.0, "What the first picture's features are multiplied by."))
            .input("strength_2", strength(1.0, "What the second picture's features are multiplied by."))
            .input("crop", combo(["center", "disabled"]).tooltip("`disabled` stretches a picture to a square."))
            .input("combine_embeds", combine.tooltip(how))
            .input("force_offload", force_offload())
            .optional("image_2", link("IMAGE").tooltip("The last frame."))
            .optional("negative_image", link("IMAGE").tooltip("A picture of what should not be seen."))
            .optional("tiles", tiles)
            .optional("ratio", float(0.5, 0.0..=1.0, 0.01).tooltip("Of tiles."))
            .output_named("WANVIDIMAGE_CLIPEMBEDS", "image_embeds")
            .describe("What a vision encoder says of pictures; image-to-video models of Wan 2.1 want it.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        if inputs.int_or("tiles", 0)? > 0 {
            return Err(not_yet("encoding pictures in parts (`tiles` above 0)"));
        }
        let encoder = inputs.object::<ClipVision>("clip_vision")?;
        let crop = if inputs.text("crop")? == "center" { ClipCrop::Center } else { ClipCrop::None };
        let mut all = Vec::new();
        for name in ["image_1", "image_2"] {
            if let Some(image) = inputs.optional::<Image>(name)? {
                let image = image.rgb();
                for index in 0..image.count() {
                    all.push(clip_features(&encoder, &image.range(index, 1), crop, context)?);
                }
            }
        }
        for (features, name) in all.iter_mut().zip(["strength_1", "strength_2"]) {
            *features = weighted(features, inputs.float(name)?);
        }
        let count = all.len() as f32;
        let positive = match (all.as_slice(), inputs.text("combine_embeds")?) {
            ([only], _) => only.clone(),
            (several, "average") => added(several, count),
            (several, "sum") => added(several, 1.0),
            (several, "concat") => below_each_other(&several.iter().collect::<Vec<_>>()),
            _ => return Err(not_yet("features for windows of a video (`combine_embeds` `batch`)")),
        };
        let negative = match inputs.optional::<Image>("negative_image")? {
            Some(image) => Some(clip_features(&encoder, &image.rgb().range(0, 1), crop, context)?),
            None => None,
        };
        offload(inputs, context, |residency| encoder.offload(residency))?;
        one(Value::object(ClipEmbeds { positive, negative }))
    }
}
