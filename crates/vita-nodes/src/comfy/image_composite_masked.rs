//! `ImageCompositeMasked`: pictures laid upon pictures.

use crate::prelude::*;
use crate::resize::{Crop, Method, scale, scale_mask};

pub struct ImageCompositeMasked;

impl Node for ImageCompositeMasked {
    fn spec(&self) -> Spec {
        let offset = || int(0, 0..=SIDE_MAX, 1).tooltip("Pixels from the left, or from the top.");
        Spec::new("ImageCompositeMasked", "image")
            .module("comfy_extras.nodes_mask", Style::V3)
            .display("Image Composite Masked")
            .input("destination", link("IMAGE"))
            .input("source", link("IMAGE"))
            .input("x", offset())
            .input("y", offset())
            .input("resize_source", switch(false).tooltip("Scales the source to the size of the destination first."))
            .optional("mask", link("MASK").tooltip("How much of the source is seen."))
            .output("IMAGE")
            .describe("Lays the source upon the destination.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let (below, above) = (inputs.object::<Image>("destination")?, inputs.object::<Image>("source")?);
        let (x, y) = (inputs.count("x")?, inputs.count("y")?);
        let channels = below.channels().max(above.channels());
        let (below, mut above) = (below.with_channels(channels), above.with_channels(channels));
        let [count, height, width, _] = below.sizes();
        if inputs.bool("resize_source")? {
            above = scale(&above, [width, height], Method::Bilinear, Crop::Disabled)?;
        }
        let mask = match inputs.optional::<Mask>("mask")? {
            Some(mask) => Some(scale_mask(&mask, [above.width(), above.height()], Method::Bilinear, Crop::Disabled)?),
            None => None,
        };
        let seen_width = above.width().min(width.saturating_sub(x));
        let seen_height = above.height().min(height.saturating_sub(y));
        let source_size = above.height() * above.width();
        let mut pixels = below.tensor().to_contiguous_f32();
        let values = pixels.f32s_mut();
        for index in 0..count {
            let picture = &above.values()[index % above.count() * source_size * channels..];
            let mask = mask.as_ref().map(|mask| &mask.values()[index % mask.sizes()[0] * source_size..]);
            for (row, column) in (0..seen_height).flat_map(|row| (0..seen_width).map(move |column| (row, column))) {
                let from = row * above.width() + column;
                let to = ((index * height + y + row) * width + x + column) * channels;
                let share = mask.map_or(1.0, |mask| mask[from]);
                for (value, source) in values[to..][..channels].iter_mut().zip(&picture[from * channels..]) {
                    *value = share * source + (1.0 - share) * *value;
                }
            }
        }
        one(Image::new(pixels))
    }
}

#[cfg(test)]
mod tests {
    use vita_tensor::Tensor;

    use super::*;
    use crate::testing::Bench;

    fn flat(value: f32, height: usize, width: usize) -> Image {
        Image::new(Tensor::from_vec(vec![value; height * width * 3], [1, height, width, 3]))
    }

    #[test]
    fn the_source_is_cut_at_the_edge_and_mixed_by_the_mask() {
        let bench = Bench::new().with("destination", flat(0.0, 2, 3)).with("source", flat(1.0, 2, 2));
        let bench = bench.with("x", Value::Int(2)).with("y", Value::Int(1)).with("resize_source", Value::Bool(false));
        let reds = |out: &crate::testing::Ran| -> Vec<f32> {
            out.object::<Image>(0).values().iter().step_by(3).copied().collect()
        };
        assert_eq!(reds(&bench.run(&ImageCompositeMasked).unwrap()), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let half = Mask::new(Tensor::from_vec(vec![0.25], [1, 1, 1]));
        let bench = bench.with("mask", half).with("resize_source", Value::Bool(true));
        let bench = bench.with("x", Value::Int(0)).with("y", Value::Int(0));
        assert_eq!(reds(&bench.run(&ImageCompositeMasked).unwrap()), [0.25; 6]);
    }
}
