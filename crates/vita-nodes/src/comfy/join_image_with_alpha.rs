//! `JoinImageWithAlpha`: pictures with masks as their transparency.

use crate::prelude::*;
use crate::resize::{Crop, Method, scale_mask};

pub struct JoinImageWithAlpha;

impl Node for JoinImageWithAlpha {
    fn spec(&self) -> Spec {
        Spec::new("JoinImageWithAlpha", "mask/compositing")
            .module("comfy_extras.nodes_compositing", Style::V3)
            .display("Join Image with Alpha")
            .input("image", link("IMAGE"))
            .input("alpha", link("MASK").tooltip("1 is transparent."))
            .output("IMAGE")
            .describe("Gives pictures a transparency.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let image = inputs.object::<Image>("image")?;
        let alpha = inputs.object::<Mask>("alpha")?;
        let count = image.count().min(alpha.sizes()[0]);
        let alpha = scale_mask(&alpha, [image.width(), image.height()], Method::Bilinear, Crop::Disabled)?;
        let joined = image.range(0, count).rgb().with_channels(4);
        let mut pixels = joined.tensor().clone();
        for (pixel, alpha) in pixels.f32s_mut().as_chunks_mut::<4>().0.iter_mut().zip(alpha.values()) {
            pixel[3] = 1.0 - alpha;
        }
        one(Image::new(pixels))
    }
}
