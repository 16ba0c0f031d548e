//! `ImageScale`: pictures to a given size.

use crate::prelude::*;
use crate::resize::{CROPS, Crop, METHODS, Method, scale};

pub struct ImageScale;

impl Node for ImageScale {
    fn spec(&self) -> Spec {
        Spec::new("ImageScale", "image/upscaling")
            .display("Upscale Image")
            .input("image", link("IMAGE"))
            .input("upscale_method", combo(METHODS))
            .input("width", int(512, 0..=SIDE_MAX, 1).tooltip("0 keeps the ratio of the sides."))
            .input("height", int(512, 0..=SIDE_MAX, 1).tooltip("0 keeps the ratio of the sides."))
            .input("crop", combo(CROPS).tooltip("`center` cuts off what sticks out instead of stretching."))
            .output("IMAGE")
            .describe("Scales pictures to a size.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let image = inputs.object::<Image>("image")?;
        let size = resolve([inputs.count("width")?, inputs.count("height")?], [image.width(), image.height()]);
        let Some(size) = size else { return one((*image).clone()) };
        let method = Method::named(inputs.text("upscale_method")?)?;
        one(scale(&image, size, method, Crop::named(inputs.text("crop")?)?)?)
    }
}

/// A side of 0 follows from the other and the ratio that there is; nothing if both are 0.
pub(crate) fn resolve([width, height]: [usize; 2], [old_width, old_height]: [usize; 2]) -> Option<[usize; 2]> {
    let follow =
        |side: usize, of: usize, to: usize| ((side as f64 * to as f64 / of as f64).round_ties_even() as usize).max(1);
    match (width, height) {
        (0, 0) => None,
        (0, _) => Some([follow(old_width, old_height, height), height]),
        (_, 0) => Some([width, follow(old_height, old_width, width)]),
        _ => Some([width, height]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_of_nothing_follows_the_other() {
        for (asked, found) in [([0, 0], None), ([10, 0], Some([10, 5])), ([0, 1], Some([2, 1])), ([3, 9], Some([3, 9]))]
        {
            assert_eq!(resolve(asked, [200, 100]), found, "{asked:?}");
        }
    }
}
