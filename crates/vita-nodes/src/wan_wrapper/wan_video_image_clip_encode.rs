//! `WanVideoImageClipEncode`: the wrapper's first way from a picture to a video; the size is in the picture's shape.
//!
//! Since August 2025 the original's sampler forgets what this node encoded of the frames after the first, since the
//! node hands over no mask of its own. Here they are kept, as the models were trained and as it was before.

use vita_pipeline::image_to_video::wrapper::{EncodeOptions, image_to_video};
use vita_pipeline::image_to_video::{VideoSize, adjusted_resolution};
use vita_pipeline::{ClipCrop, Stage};

use super::data::{ImageEmbeds, Pictures};
use super::fields::{OrElse, force_offload, frames, offload, side, spec};
use super::pictures::{clip_features, strength, weighted};
use crate::prelude::*;
use crate::work::{not_yet, run};

pub struct WanVideoImageClipEncode;

impl Node for WanVideoImageClipEncode {
    fn spec(&self) -> Spec {
        let adjust = "Keeps the area of the size, in the picture's shape; off stretches the picture to the size.";
        let mut spec = spec("WanVideoImageClipEncode", "WanVideo ImageClip Encode (Deprecated)")
            .input("clip_vision", link("CLIP_VISION").tooltip("The vision encoder."))
            .input("image", link("IMAGE").tooltip("The first frame."))
            .input("vae", link("WANVAE").tooltip("The autoencoder."))
            .input("generation_width", side(832))
            .input("generation_height", side(480))
            .input("num_frames", frames())
            .optional("force_offload", force_offload())
            .optional(
                "noise_aug_strength",
                strength(0.0, "Noise upon the picture; above 0 is refused, not built in yet."),
            )
            .optional("latent_strength", strength(1.0, "Of the picture; other than 1 is refused, not built in yet."))
            .optional("clip_embed_strength", strength(1.0, "What the picture's features are multiplied by."))
            .optional("adjust_resolution", switch(true).tooltip(adjust))
            .output_named("WANVIDIMAGE_EMBEDS", "image_embeds")
            .describe("A video that begins with a picture. WanVideoImageToVideoEncode has taken its place.");
        spec.deprecated = true;
        spec
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        if inputs.float_or("noise_aug_strength", 0.0)? > 0.0 {
            return Err(not_yet("noise upon the picture (`noise_aug_strength` above 0)"));
        }
        if inputs.float_or("latent_strength", 1.0)? != 1.0 {
            return Err(not_yet("a weaker or stronger picture (`latent_strength` other than 1)"));
        }
        let image = inputs.object::<Image>("image")?.rgb().range(0, 1);
        let encoder = inputs.object::<ClipVision>("clip_vision")?;
        let features = clip_features(&encoder, &image, ClipCrop::Center, context)?;
        let clip = weighted(&features, inputs.float_or("clip_embed_strength", 1.0)?);
        let area = [inputs.count("generation_width")?, inputs.count("generation_height")?];
        let [width, height] = match inputs.bool_or("adjust_resolution", true)? {
            true => adjusted_resolution([image.height(), image.width()], area, 16),
            false => area,
        };
        let size = VideoSize { width, height, frames: inputs.count("num_frames")? };
        Image::check([size.frames, height, width, 3])?;
        let vae = inputs.object::<Vae>("vae")?;
        let known = run(context, Stage::Image, |environment| {
            image_to_video(&vae, Some(image.tensor()), None, size, &EncodeOptions::default(), environment)
        })?;
        offload(inputs, context, |residency| {
            encoder.offload(residency);
            vae.offload(residency);
        })?;
        let pictures = Pictures { known, clip: Some(clip), negative_clip: None, has_end_frame: false };
        one(Value::object(ImageEmbeds { pictures: Some(pictures), ..ImageEmbeds::of_size(size) }))
    }
}
