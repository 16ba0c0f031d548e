//! `GrowMask`: masks wider or narrower by some pixels.

use vita_tensor::Tensor;

use crate::prelude::*;

pub struct GrowMask;

impl Node for GrowMask {
    fn spec(&self) -> Spec {
        Spec::new("GrowMask", "mask")
            .display("Grow Mask")
            .module("comfy_extras.nodes_mask", Style::V3)
            .input("mask", link("MASK"))
            .input("expand", int(0, -SIDE_MAX..=SIDE_MAX, 1).tooltip("Pixels; less than 0 narrows."))
            .input("tapered_corners", switch(true).tooltip("Grows as a diamond instead of a square."))
            .output("MASK")
            .describe("Widens or narrows masks.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let mask = inputs.object::<Mask>("mask")?;
        let expand = inputs.int("expand")?;
        let [_, height, width] = mask.sizes();
        // Beyond the larger side nothing changes any more.
        let steps = usize::try_from(expand.unsigned_abs()).unwrap_or(usize::MAX).min(height + width);
        let corners = !inputs.bool("tapered_corners")?;
        let better = if expand < 0 { f32::min } else { f32::max };
        let mut values = mask.values().to_vec();
        for _ in 0..steps {
            context.check()?;
            values = values
                .chunks_exact((height * width).max(1))
                .flat_map(|picture| step(picture, [height, width], corners, better))
                .collect();
        }
        one(Mask::new(Tensor::from_vec(values, mask.tensor().dims())))
    }
}

/// Every pixel becomes the best of itself and its neighbours: four, or eight with corners.
fn step(picture: &[f32], [height, width]: [usize; 2], corners: bool, better: fn(f32, f32) -> f32) -> Vec<f32> {
    let at = |y: isize, x: isize| {
        let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
        inside.then(|| picture[y as usize * width + x as usize])
    };
    let mut out = Vec::with_capacity(picture.len());
    for (y, x) in (0..height as isize).flat_map(|y| (0..width as isize).map(move |x| (y, x))) {
        let mut best = picture[y as usize * width + x as usize];
        for (dy, dx) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dy, dx))) {
            if corners || dy == 0 || dx == 0 {
                best = at(y + dy, x + dx).map_or(best, |value| better(best, value));
            }
        }
        out.push(best);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn masks_grow_as_diamonds_and_squares_and_shrink() {
        let dot = |size: usize, value: f32| {
            let mut values = vec![1.0 - value; size * size];
            values[size * size / 2] = value;
            Mask::new(Tensor::from_vec(values, [1, size, size]))
        };
        for (mask, expand, tapered, sum) in [
            (dot(5, 1.0), 1, true, 5.0),
            (dot(5, 1.0), 1, false, 9.0),
            (dot(5, 1.0), 2, true, 13.0),
            (dot(5, 0.0), -1, true, 20.0),
        ] {
            let bench = Bench::new().with("mask", mask).with("expand", Value::Int(expand));
            let grown = bench.with("tapered_corners", Value::Bool(tapered)).run(&GrowMask).unwrap().object::<Mask>(0);
            assert_eq!(grown.values().iter().sum::<f32>(), sum, "{expand} {tapered}");
        }
    }
}
