//! `WanVideoImageToVideoEncode`: a video that begins, ends, or both, with given pictures.

use vita_pipeline::image_to_video::VideoSize;
use vita_pipeline::image_to_video::wrapper::{EncodeOptions, image_to_video};
use vita_pipeline::{DecodeOptions, Stage, Tile};

use super::data::{ClipEmbeds, ImageEmbeds, Pictures};
use super::fields::{OrElse, force_offload, frames, offload, side, spec};
use super::pictures::strength;
use crate::image_to_video::pictures;
use crate::prelude::*;
use crate::work::{not_yet, run};

pub struct WanVideoImageToVideoEncode;

/// Squares that pictures are encoded in, if they are: 272 pixels, 128 from one to the next.
const TILE: Tile = Tile { size: 272, overlap: 144 };

/// Inputs that are refused: type, and what they would do.
const REFUSED: [(&str, &str, &str); 5] = [
    ("control_embeds", "WANVIDIMAGE_EMBEDS", "leading a model by a control video"),
    ("temporal_mask", "MASK", "a mask of known frames"),
    ("extra_latents", "LATENT", "reference pictures before the video"),
    ("add_cond_latents", "ADD_COND_LATENTS", "further latents of poses"),
    ("empty_frame_pad_image", "IMAGE", "a picture in place of grey frames"),
];

impl Node for WanVideoImageToVideoEncode {
    fn spec(&self) -> Spec {
        let end = "Whether the end image is the video's last frame, as first-last-frame and Fun models have it, or stands behind it.";
        let mut spec = spec("WanVideoImageToVideoEncode", "WanVideo ImageToVideo Encode")
            .input("width", side(832))
            .input("height", side(480))
            .input("num_frames", frames())
            .input("noise_aug_strength", strength(0.0, "Noise upon pictures; above 0 is refused, not built in yet."))
            .input("start_latent_strength", strength(1.0, "What the first latent frame is multiplied by."))
            .input("end_latent_strength", strength(1.0, "What the last latent frame of an end image is multiplied by."))
            .input("force_offload", force_offload())
            .optional("vae", link("WANVAE").tooltip("The autoencoder."))
            .optional(
                "clip_embeds",
                link("WANVIDIMAGE_CLIPEMBEDS").tooltip("What Wan 2.1 models want of the pictures."),
            )
            .optional("start_image", link("IMAGE").tooltip("The first frames; stretched to the size."))
            .optional("end_image", link("IMAGE").tooltip("The last frames; stretched to the size."))
            .optional("control_embeds", refused(0))
            .optional("fun_or_fl2v_model", switch(true).tooltip(end));
        for index in [1, 2] {
            spec = spec.optional(REFUSED[index].0, refused(index));
        }
        spec.optional("tiled_vae", switch(false).tooltip("Encodes in squares that overlap, which takes less memory."))
            .optional(REFUSED[3].0, refused(3).advanced())
            .optional(
                "augment_empty_frames",
                float(0.0, 0.0..=10.0, 0.01).tooltip("More motion; above 0 is refused, not built in yet."),
            )
            .optional(REFUSED[4].0, refused(4))
            .output_named("WANVIDIMAGE_EMBEDS", "image_embeds")
            .describe("A video that begins or ends with pictures, for an image-to-video model.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        check(inputs)?;
        let vae = inputs.optional::<Vae>("vae")?.ok_or_else(|| NodeError::Failed {
            kind: "ValueError",
            message: "there is no autoencoder at the input `vae`".into(),
            hint: Some("connect WanVideoVAELoader".into()),
        })?;
        let size = VideoSize {
            width: inputs.count("width")?,
            height: inputs.count("height")?,
            frames: (inputs.count("num_frames")? - 1) / 4 * 4 + 1,
        };
        Image::check([size.frames, size.height, size.width, 3])?;
        let (start, end) = (pictures(inputs, "start_image")?, pictures(inputs, "end_image")?);
        // Of the original's method, not of its widget.
        let end_is_frame = inputs.bool_or("fun_or_fl2v_model", false)?;
        let has_end_frame = start.is_some() && end.is_some() && !end_is_frame;
        let tile = inputs.bool_or("tiled_vae", false)?.then_some(TILE);
        let options = EncodeOptions {
            start_strength: inputs.float("start_latent_strength")?,
            end_strength: inputs.float("end_latent_strength")?,
            end_is_frame,
            vae: DecodeOptions { tile },
        };
        let [first, last] = [&start, &end].map(|image| image.as_ref().map(Image::tensor));
        let known =
            run(context, Stage::Image, |environment| image_to_video(&vae, first, last, size, &options, environment))?;
        offload(inputs, context, |residency| vae.offload(residency))?;
        let clip = inputs.optional::<ClipEmbeds>("clip_embeds")?;
        let [clip, negative_clip] = match clip {
            Some(clip) => [Some(clip.positive.clone()), clip.negative.clone()],
            None => [None, None],
        };
        let pictures = Pictures { known, clip, negative_clip, has_end_frame };
        one(Value::object(ImageEmbeds { pictures: Some(pictures), ..ImageEmbeds::of_size(size) }))
    }
}

fn refused(index: usize) -> Field {
    link(REFUSED[index].1).tooltip("Is refused: not built in yet.")
}

fn check(inputs: &Inputs) -> Result<(), NodeError> {
    if let Some((name, _, what)) = REFUSED.into_iter().find(|(name, ..)| inputs.has(name)) {
        return Err(not_yet(&format!("{what} (`{name}`)")));
    }
    for (name, what) in [("noise_aug_strength", "noise upon pictures"), ("augment_empty_frames", "more motion")] {
        if inputs.float_or(name, 0.0)? > 0.0 {
            return Err(not_yet(&format!("{what} (`{name}` above 0)")));
        }
    }
    Ok(())
}
