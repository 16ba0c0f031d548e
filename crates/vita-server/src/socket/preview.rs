//! A picture of what is not finished, as a JPEG that fits the page.

use std::borrow::Cow;

use vita_media::{Frame as Picture, encode_jpeg};

/// ComfyUI's quality of previews.
const QUALITY: u8 = 95;

/// Rows of red, green, blue.
pub(crate) struct Pixels {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) rgb: Vec<u8>,
}

/// A JPEG whose longer side is `side` pixels, larger or smaller than the picture: pages show previews as they
/// are, and a latent is an eighth of its video. Nothing if the picture has no pixels or not as many as it says.
pub(crate) fn encode(pixels: &Pixels, side: u32) -> Option<Vec<u8>> {
    let (width, height) = (pixels.width, pixels.height);
    if width == 0 || height == 0 || pixels.rgb.len() != width.checked_mul(height)?.checked_mul(3)? {
        return None;
    }
    let (new_width, new_height) = contain(width, height, (side as usize).clamp(1, 4096));
    let rgb = if (new_width, new_height) == (width, height) {
        Cow::Borrowed(&pixels.rgb)
    } else {
        Cow::Owned(resize(pixels, new_width, new_height))
    };
    let picture = Picture::new(new_width as u32, new_height as u32, &rgb).ok()?;
    encode_jpeg(picture, QUALITY).ok()
}

/// The largest size of the same shape with no side above `side`.
fn contain(width: usize, height: usize, side: usize) -> (usize, usize) {
    let longer = width.max(height);
    let scale = |length: usize| ((length * side + longer / 2) / longer).max(1);
    (scale(width), scale(height))
}

/// Bilinear: previews are small pictures that become larger, or frames that become somewhat smaller.
fn resize(pixels: &Pixels, width: usize, height: usize) -> Vec<u8> {
    let columns = taps(pixels.width, width);
    let rows = taps(pixels.height, height);
    let mut rgb = Vec::with_capacity(width * height * 3);
    for row in &rows {
        for column in &columns {
            for channel in 0..3 {
                let at = |x: usize, y: usize| f32::from(pixels.rgb[(y * pixels.width + x) * 3 + channel]);
                let top =
                    at(column.first, row.first) * (1.0 - column.weight) + at(column.second, row.first) * column.weight;
                let bottom = at(column.first, row.second) * (1.0 - column.weight)
                    + at(column.second, row.second) * column.weight;
                rgb.push((top * (1.0 - row.weight) + bottom * row.weight).round() as u8);
            }
        }
    }
    rgb
}

/// The two neighbours of a new position and the weight of the second.
struct Tap {
    first: usize,
    second: usize,
    weight: f32,
}

/// Pixels are squares whose centres are half a pixel in.
fn taps(old: usize, new: usize) -> Vec<Tap> {
    (0..new)
        .map(|index| {
            let centre = ((index as f32 + 0.5) * old as f32 / new as f32 - 0.5).clamp(0.0, (old - 1) as f32);
            let first = centre as usize;
            Tap { first, second: (first + 1).min(old - 1), weight: centre - first as f32 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_fit_the_side_and_keep_their_shape() {
        for (width, height, expected) in [
            (104, 60, (512, 295)),
            (60, 104, (295, 512)),
            (832, 480, (512, 295)),
            (1, 4000, (1, 512)),
            (512, 512, (512, 512)),
        ] {
            assert_eq!(contain(width, height, 512), expected);
            let pixels = Pixels { width, height, rgb: vec![200; width * height * 3] };
            let jpeg = encode(&pixels, 512).unwrap();
            assert_eq!(jpeg[..3], [0xff, 0xd8, 0xff]);
            assert!(resize(&pixels, expected.0, expected.1).iter().all(|value| *value == 200));
        }
    }

    #[test]
    fn a_picture_that_is_none_gives_nothing() {
        assert!(encode(&Pixels { width: 2, height: 2, rgb: vec![0; 11] }, 512).is_none());
        assert!(encode(&Pixels { width: 0, height: 2, rgb: Vec::new() }, 512).is_none());
    }
}
