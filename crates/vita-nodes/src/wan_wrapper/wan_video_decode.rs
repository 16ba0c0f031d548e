//! `WanVideoDecode`: a latent video to pictures.

use vita_graph::{Host, Refusal};
use vita_pipeline::{DecodeOptions, Stage};

use super::fields::{OrElse, spec};
use super::tiles::{WIDEST, tile_fields, tiles};
use crate::prelude::*;
use crate::vae_work::decode;
use crate::work::run;

pub struct WanVideoDecode;

impl Node for WanVideoDecode {
    fn spec(&self) -> Spec {
        let tiling = "Decodes in squares that overlap: less memory, and seams where they meet.";
        let normalization = "`minmax` stretches the darkest to black and the brightest to white; `none` leaves away what is darker than grey.";
        tile_fields(
            spec("WanVideoDecode", "WanVideo Decode")
                .input("vae", link("WANVAE").tooltip("The autoencoder."))
                .input("samples", link("LATENT").tooltip("What is decoded."))
                .input("enable_vae_tiling", switch(false).tooltip(tiling)),
            WIDEST,
        )
        .optional("normalization", combo(["default", "minmax", "none"]).tooltip(normalization).advanced())
        .output_named("IMAGE", "images")
        .describe("Turns a latent video into pictures.")
    }

    /// The switch has no range and no list to check; the tiles' sizes are compared.
    fn judges(&self) -> &'static [&'static str] {
        &["enable_vae_tiling"]
    }

    fn refuse(&self, inputs: &Inputs, _: &dyn Host) -> Vec<Refusal> {
        let is_wider = |size, stride| match (inputs.int(size), inputs.int(stride)) {
            (Ok(size), Ok(stride)) => size > stride,
            _ => true,
        };
        let refusal = |input: &str, side| Refusal {
            input: input.into(),
            reason: Some(format!("Tile {side} must be larger than the tile stride {side}.")),
        };
        let wide = (!is_wider("tile_x", "tile_stride_x")).then(|| refusal("tile_x", "width"));
        wide.or_else(|| (!is_wider("tile_y", "tile_stride_y")).then(|| refusal("tile_y", "height")))
            .into_iter()
            .collect()
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let options = DecodeOptions { tile: tiles(inputs)? };
        let image = decode(inputs, options, context)?;
        let image = match inputs.text_or("normalization", "default")? {
            "minmax" => stretched(&image),
            "none" => image.map_pixels(3, |pixel, out| {
                out.iter_mut().zip(pixel).for_each(|(out, value)| *out = (value * 2.0 - 1.0).max(0.0));
            }),
            _ => image,
        };
        let Some(seam) = inputs.object::<Latents>("samples")?.seam()? else { return one(image) };
        let vae = inputs.object::<Vae>("vae")?;
        let seam = run(context, Stage::Decoding, |environment| vae.decode(&seam, options, environment))?;
        one(with_seam(&image, &stretched(&Image::new(seam))))
    }
}

/// A video that plays round and round: its first two latent frames follow on its last three, where they are four
/// frames each, and not one and four.
fn with_seam(image: &Image, seam: &Image) -> Image {
    /// Of three latent frames, and of two, at the beginning of a video.
    const FRAMES: [usize; 2] = [9, 5];
    let rest = |image: &Image, from: usize| image.range(from, image.count() - from);
    Image::join(&[rest(seam, FRAMES[0]), rest(image, FRAMES[1])])
}

/// From the least to the greatest value is 0 to 1.
fn stretched(image: &Image) -> Image {
    let ends =
        image.values().iter().fold((1.0f32, 0.0f32), |(least, most), &value| (least.min(value), most.max(value)));
    let range = ends.1 - ends.0;
    if range <= 0.0 {
        return image.clone();
    }
    image.map_pixels(3, |pixel, out| out.iter_mut().zip(pixel).for_each(|(out, value)| *out = (value - ends.0) / range))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vita_tensor::Tensor;

    #[test]
    fn a_seam_stands_for_the_first_frames() {
        let frames = |from: usize, count: usize| {
            Image::new(Tensor::from_vec((from..from + count).map(|i| i as f32).collect(), [count, 1, 1, 1]))
        };
        let joined = with_seam(&frames(0, 9), &frames(100, 17));
        assert_eq!(joined.values(), [109., 110., 111., 112., 113., 114., 115., 116., 5., 6., 7., 8.]);
    }

    #[test]
    fn the_whole_range_is_used() {
        let image = Image::new(Tensor::from_vec(vec![0.25, 0.5, 0.75], [1, 1, 1, 3]));
        assert_eq!(stretched(&image).values(), [0.0, 0.5, 1.0]);
        let plain = Image::new(Tensor::from_vec(vec![0.25; 3], [1, 1, 1, 3]));
        assert_eq!(stretched(&plain).values(), [0.25; 3]);
    }
}
