//! `ImagePadForOutpaint`: grey around pictures, and a mask of where it is.

use vita_tensor::Tensor;

use crate::prelude::*;

pub struct ImagePadForOutpaint;

impl Node for ImagePadForOutpaint {
    fn spec(&self) -> Spec {
        let side = || int(0, 0..=SIDE_MAX, 8).tooltip("Pixels that are added on this side.");
        Spec::new("ImagePadForOutpaint", "image")
            .display("Pad Image for Outpainting")
            .input("image", link("IMAGE"))
            .input("left", side())
            .input("top", side())
            .input("right", side())
            .input("bottom", side())
            .input("feathering", int(40, 0..=SIDE_MAX, 1).tooltip("Pixels over which the mask fades into the picture."))
            .output("IMAGE")
            .output("MASK")
            .describe("Adds grey around pictures, and says in a mask where something is to be made.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let image = inputs.object::<Image>("image")?;
        let [left, top, right, bottom] =
            [inputs.count("left")?, inputs.count("top")?, inputs.count("right")?, inputs.count("bottom")?];
        let feathering = inputs.count("feathering")?;
        let [count, height, width, channels] = image.sizes();
        let (new_height, new_width) = (height + top + bottom, width + left + right);
        Image::check([count, new_height, new_width, channels])?;

        let mut padded = Tensor::scratch([count, new_height, new_width, channels]);
        padded.f32s_mut().fill(0.5);
        let rows = padded.f32s_mut().chunks_exact_mut(new_width * channels).enumerate();
        let inside = rows.filter(|(row, _)| (top..top + height).contains(&(row % new_height)));
        for ((_, row), source) in inside.zip(image.values().chunks_exact(width * channels)) {
            row[left * channels..][..width * channels].copy_from_slice(source);
        }

        let mut mask = vec![1.0; new_height * new_width];
        let fades = feathering > 0 && feathering * 2 < height && feathering * 2 < width;
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let from = |added: usize, distance: usize, far: usize| if added == 0 { far } else { distance };
            let distance = from(top, y, height)
                .min(from(bottom, height - y, height))
                .min(from(left, x, width))
                .min(from(right, width - x, width));
            let share = (feathering as f32 - distance as f32) / feathering.max(1) as f32;
            mask[(top + y) * new_width + left + x] = if fades && distance < feathering { share * share } else { 0.0 };
        }
        let mask = Mask::new(Tensor::from_vec(mask, [1, new_height, new_width]));
        Ok(Outputs::values([Image::new(padded).into(), mask.into()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, image};

    #[test]
    fn grey_is_added_and_the_mask_fades() {
        let mut bench = Bench::new().with("image", image(1, 8, 8));
        for (name, value) in [("left", 0), ("top", 2), ("right", 1), ("bottom", 0), ("feathering", 2)] {
            bench = bench.with(name, Value::Int(value));
        }
        let out = bench.run(&ImagePadForOutpaint).unwrap();
        assert_eq!(out.object::<Image>(0).sizes(), [1, 10, 9, 3]);
        assert_eq!(out.object::<Image>(0).values()[..3], [0.5; 3]);
        let mask = out.object::<Mask>(1);
        let column: Vec<f32> = mask.values().iter().step_by(9).copied().collect();
        assert_eq!(column, [1.0, 1.0, 1.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
