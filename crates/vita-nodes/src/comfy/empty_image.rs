//! `EmptyImage`: pictures of one colour.

use vita_tensor::Tensor;

use crate::prelude::*;

pub struct EmptyImage;

impl Node for EmptyImage {
    fn spec(&self) -> Spec {
        Spec::new("EmptyImage", "image")
            .input("width", int(512, 1..=SIDE_MAX, 1))
            .input("height", int(512, 1..=SIDE_MAX, 1))
            .input("batch_size", whole(1, 1..=BATCH_MAX))
            .input(
                "color",
                int(0, 0..=0xff_ffff, 1).extra("display", "color").tooltip("Red, green and blue, a byte each."),
            )
            .output("IMAGE")
            .describe("Pictures of one colour.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let (width, height, count) = (inputs.count("width")?, inputs.count("height")?, inputs.count("batch_size")?);
        Image::check([count, height, width, 3])?;
        let [_, red, green, blue] = (inputs.count("color")? as u32).to_be_bytes().map(|byte| f32::from(byte) / 255.0);
        let mut pixels = Tensor::scratch([count, height, width, 3]);
        pixels.f32s_mut().as_chunks_mut::<3>().0.fill([red, green, blue]);
        one(Image::new(pixels))
    }
}
