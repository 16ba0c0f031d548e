//! `ImageStitch`: two pictures side by side.

use vita_tensor::Tensor;

use crate::prelude::*;
use crate::resize::{Crop, Method, scale};

pub struct ImageStitch;

/// Names and values of what lies between.
const COLORS: [(&str, [f32; 3]); 5] = [
    ("white", [1.0, 1.0, 1.0]),
    ("black", [0.0, 0.0, 0.0]),
    ("red", [1.0, 0.0, 0.0]),
    ("green", [0.0, 1.0, 0.0]),
    ("blue", [0.0, 0.0, 1.0]),
];

impl Node for ImageStitch {
    fn spec(&self) -> Spec {
        Spec::new("ImageStitch", "image/transform")
            .module("comfy_extras.nodes_images", Style::V3)
            .display("Image Stitch")
            .input("image1", link("IMAGE"))
            .input("direction", combo(["right", "down", "left", "up"]).default_choice("right"))
            .input("match_image_size", switch(true).tooltip("Scales the second so that the sides that meet are equal."))
            .input("spacing_width", int(0, 0..=1024, 2).tooltip("Pixels between the two."))
            .input("spacing_color", combo(COLORS.map(|(name, _)| name)).default_choice("white"))
            .optional("image2", link("IMAGE"))
            .output("IMAGE")
            .describe("Puts the second picture beside the first; alone the first is passed on.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let first = inputs.object::<Image>("image1")?;
        let Some(second) = inputs.optional::<Image>("image2")? else { return one((*first).clone()) };
        let direction = inputs.text("direction")?;
        let is_row = matches!(direction, "left" | "right");
        let name = inputs.text("spacing_color")?;
        let color = COLORS.iter().find(|(known, _)| *known == name).map_or([1.0; 3], |(_, color)| *color);
        let grey = if color[0] == color[1] && color[1] == color[2] { color[0] } else { 0.0 };

        let count = first.count().max(second.count());
        let channels = first.channels().max(second.channels());
        let mut parts = [&first, &second].map(|image| fill_batch(&image.with_channels(channels), count));
        let [_, height, width, _] = parts[0].sizes();
        if inputs.bool("match_image_size")? {
            let ratio = parts[1].width() as f64 / parts[1].height() as f64;
            let size = match is_row {
                true => [(height as f64 * ratio) as usize, height],
                false => [width, (width as f64 / ratio) as usize],
            };
            parts[1] = scale(&parts[1], size.map(|side| side.max(1)), Method::Lanczos, Crop::Disabled)?;
        }
        let (rows, columns) = (parts[0].height().max(parts[1].height()), parts[0].width().max(parts[1].width()));
        let padded = parts.map(|part| match is_row {
            true => pad(&part, [rows, part.width()], grey),
            false => pad(&part, [part.height(), columns], grey),
        });
        let gap = inputs.count("spacing_width")?.next_multiple_of(2);
        let [first, second] = padded;
        let (before, after) = if matches!(direction, "left" | "up") { (second, first) } else { (first, second) };
        let mut parts = vec![before];
        if gap > 0 {
            let size = if is_row { [rows, gap] } else { [gap, columns] };
            parts.push(flat([count, size[0], size[1], channels], color));
        }
        parts.push(after);
        one(if is_row { beside(&parts)? } else { below(&parts)? })
    }
}

/// The last picture again until there are so many.
fn fill_batch(image: &Image, count: usize) -> Image {
    let mut parts = vec![image.clone()];
    parts.extend(vec![image.range(image.count() - 1, 1); count - image.count()]);
    Image::join(&parts)
}

fn flat([count, height, width, channels]: [usize; 4], color: [f32; 3]) -> Image {
    let mut pixels = Tensor::scratch([count, height, width, channels]);
    for pixel in pixels.f32s_mut().chunks_exact_mut(channels) {
        pixel.fill(1.0);
        let colored = channels.min(3);
        pixel[..colored].copy_from_slice(&color[..colored]);
    }
    Image::new(pixels)
}

/// Grey on both sides up to a size that is not smaller.
fn pad(image: &Image, [height, width]: [usize; 2], grey: f32) -> Image {
    let [count, own_height, own_width, channels] = image.sizes();
    if [own_height, own_width] == [height, width] {
        return image.clone();
    }
    let (top, left) = ((height - own_height) / 2, (width - own_width) / 2);
    let mut pixels = Tensor::scratch([count, height, width, channels]);
    pixels.f32s_mut().fill(grey);
    let rows = pixels.f32s_mut().chunks_exact_mut(width * channels).enumerate();
    let inside = rows.filter(|(row, _)| (top..top + own_height).contains(&(row % height)));
    for ((_, row), source) in inside.zip(image.values().chunks_exact(own_width * channels)) {
        row[left * channels..][..own_width * channels].copy_from_slice(source);
    }
    Image::new(pixels)
}

/// Pictures of equal height and number, from left to right.
fn beside(parts: &[Image]) -> Result<Image, NodeError> {
    let [count, height, _, channels] = parts[0].sizes();
    let width = parts.iter().map(Image::width).sum();
    Image::check([count, height, width, channels])?;
    let mut values = Vec::with_capacity(count * height * width * channels);
    for row in 0..count * height {
        for part in parts {
            let length = part.width() * channels;
            values.extend_from_slice(&part.values()[row * length..][..length]);
        }
    }
    Ok(Image::new(Tensor::from_vec(values, [count, height, width, channels])))
}

/// Pictures of equal width and number, from top to bottom.
fn below(parts: &[Image]) -> Result<Image, NodeError> {
    let [count, _, width, channels] = parts[0].sizes();
    let height = parts.iter().map(Image::height).sum();
    Image::check([count, height, width, channels])?;
    let mut values = Vec::with_capacity(count * height * width * channels);
    for index in 0..count {
        parts.iter().for_each(|part| values.extend_from_slice(part.range(index, 1).values()));
    }
    Ok(Image::new(Tensor::from_vec(values, [count, height, width, channels])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, image};

    #[test]
    fn directions_sizes_and_gaps() {
        for (direction, matches, gap, want) in [
            ("right", true, 0, [2, 4, 6 + 8, 3]),
            ("left", false, 3, [2, 4, 6 + 4 + 4, 3]),
            ("down", true, 2, [2, 4 + 2 + 3, 6, 3]),
            ("up", false, 0, [2, 4 + 2, 6, 3]),
        ] {
            let bench = Bench::new().with("image1", image(1, 4, 6)).with("image2", image(2, 2, 4));
            let bench = bench.with("direction", Value::text(direction)).with("match_image_size", Value::Bool(matches));
            let bench = bench.with("spacing_width", Value::Int(gap)).with("spacing_color", Value::text("red"));
            assert_eq!(bench.run(&ImageStitch).unwrap().object::<Image>(0).sizes(), want, "{direction}");
        }
    }
}
