//! `ImageScaleBy`: pictures larger or smaller by a factor.

use crate::prelude::*;
use crate::resize::{Crop, METHODS, Method, scale};

pub struct ImageScaleBy;

impl Node for ImageScaleBy {
    fn spec(&self) -> Spec {
        Spec::new("ImageScaleBy", "image/upscaling")
            .display("Upscale Image By")
            .input("image", link("IMAGE"))
            .input("upscale_method", combo(METHODS))
            .input("scale_by", float(1.0, 0.01..=8.0, 0.01).tooltip("2 doubles both sides."))
            .output("IMAGE")
            .describe("Scales pictures by a factor.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let image = inputs.object::<Image>("image")?;
        let factor = inputs.float("scale_by")?;
        let size = [image.width(), image.height()].map(|side| (side as f64 * factor).round_ties_even() as usize);
        one(scale(&image, size, Method::named(inputs.text("upscale_method")?)?, Crop::Disabled)?)
    }
}
