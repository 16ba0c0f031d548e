//! Pictures to another size, as PyTorch's `interpolate` and Pillow's `resize` do it.
//!
//! Every method is a weighted sum along each axis. All but Lanczos work on `f32`; Lanczos works on bytes with
//! weights of 22 bits, rows first, as Pillow before version 13 does, and agrees with it in every byte.

use rayon::prelude::*;
use vita_graph::NodeError;
use vita_tensor::Tensor;

use crate::data::{Image, Mask};

/// How pixels between pixels are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The pixel whose square holds the new centre.
    NearestExact,
    /// Two neighbours by distance; narrows without a filter.
    Bilinear,
    /// The mean of what the new pixel covers.
    Area,
    /// Four neighbours, Keys' cubic with a = -0.75; narrows without a filter.
    Bicubic,
    /// Lanczos of three lobes on bytes; narrows with a wider filter.
    Lanczos,
}

/// What becomes of a picture whose sides have another ratio than asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crop {
    /// It is stretched.
    Disabled,
    /// What sticks out on both sides is cut off first.
    Center,
}

/// Names of the methods, in ComfyUI's order.
pub const METHODS: [&str; 5] = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"];

/// Names of the crops, in ComfyUI's order.
pub const CROPS: [&str; 2] = ["disabled", "center"];

impl Method {
    /// The method of a name.
    pub fn named(name: &str) -> Result<Self, NodeError> {
        Ok(match name {
            "nearest-exact" => Self::NearestExact,
            "bilinear" => Self::Bilinear,
            "area" => Self::Area,
            "bicubic" => Self::Bicubic,
            "lanczos" => Self::Lanczos,
            _ => return Err(NodeError::value(format!("no scaling method is called `{name}`"))),
        })
    }
}

impl Crop {
    /// The crop of a name.
    pub fn named(name: &str) -> Result<Self, NodeError> {
        match name {
            "disabled" => Ok(Self::Disabled),
            "center" => Ok(Self::Center),
            _ => Err(NodeError::value(format!("no crop is called `{name}`"))),
        }
    }
}

/// Scales all pictures of a batch. `size` is width and height.
///
/// # Errors
/// If a side is 0 or the result is too large.
pub fn scale(image: &Image, size: [usize; 2], method: Method, crop: Crop) -> Result<Image, NodeError> {
    let [width, height] = size;
    let [count, _, _, channels] = image.sizes();
    Image::check([count, height, width, channels])?;
    let image = match crop {
        Crop::Disabled => image.clone(),
        Crop::Center => crop_center(image, size),
    };
    let [_, from_height, from_width, _] = image.sizes();
    if [from_width, from_height] == size && method != Method::Lanczos {
        return Ok(image);
    }
    let mut result = Tensor::scratch([count, height, width, channels]);
    let from = (from_height * from_width * channels).max(1);
    let frames = result.f32s_mut().par_chunks_mut((height * width * channels).max(1));
    if method == Method::Lanczos {
        let across = lanczos_taps(from_width, width);
        let down = lanczos_taps(from_height, height);
        frames.enumerate().for_each(|(index, out)| {
            let bytes = scale_bytes(&image.bytes(index), [from_height, from_width, channels], &across, &down);
            out.iter_mut().zip(bytes).for_each(|(value, byte)| *value = f32::from(byte) / 255.0);
        });
    } else {
        let across = taps(method, from_width, width);
        let down = taps(method, from_height, height);
        frames.zip(image.values().par_chunks(from)).for_each(|(out, frame)| {
            scale_frame(frame, [from_width, channels], &across, &down, out);
        });
    }
    Ok(Image::new(result))
}

/// Scales all masks of a batch. `size` is width and height.
///
/// # Errors
/// As [`scale`].
pub fn scale_mask(mask: &Mask, size: [usize; 2], method: Method, crop: Crop) -> Result<Mask, NodeError> {
    Ok(Mask::of_channel(&scale(&mask.to_image(), size, method, crop)?, 0))
}

/// The middle part that has the ratio of `size`, as `common_upscale` of ComfyUI takes it.
fn crop_center(image: &Image, [width, height]: [usize; 2]) -> Image {
    let [_, from_height, from_width, _] = image.sizes();
    let (old_width, old_height) = (from_width as f64, from_height as f64);
    let (old, new) = (old_width / old_height, width as f64 / height as f64);
    let cut = |side: f64, kept: f64| ((side - side * kept) / 2.0).round_ties_even() as usize;
    let (x, y) = match old.total_cmp(&new) {
        std::cmp::Ordering::Greater => (cut(old_width, new / old), 0),
        std::cmp::Ordering::Less => (0, cut(old_height, old / new)),
        std::cmp::Ordering::Equal => (0, 0),
    };
    // A strip thinner than a pixel keeps one.
    let part = |side: usize, cut: usize| (cut.min((side - 1) / 2), side - 2 * cut.min((side - 1) / 2));
    let ((x, kept_width), (y, kept_height)) = (part(from_width, x), part(from_height, y));
    Image::new(image.tensor().narrow(1, y, kept_height).narrow(2, x, kept_width))
}

/// Which old pixels a new one is made of, and how much of each.
type Taps<W> = Vec<Vec<(usize, W)>>;

fn taps(method: Method, from: usize, to: usize) -> Taps<f32> {
    let last = from - 1;
    let scale = from as f32 / to as f32;
    let center = |i: usize| scale * (i as f32 + 0.5);
    let make = |i: usize| match method {
        Method::NearestExact => vec![((center(i) as usize).min(last), 1.0)],
        Method::Bilinear => {
            let at = (center(i) - 0.5).max(0.0);
            let left = (at as usize).min(last);
            let share = at - left as f32;
            vec![(left, 1.0 - share), ((left + 1).min(last), share)]
        }
        Method::Bicubic => {
            let at = center(i) - 0.5;
            let left = at.floor();
            let weights = cubic(at - left);
            let index = |offset: usize| (left as isize + offset as isize - 1).clamp(0, last as isize) as usize;
            weights.into_iter().enumerate().map(|(offset, weight)| (index(offset), weight)).collect()
        }
        Method::Area | Method::Lanczos => {
            let (first, end) = (i * from / to, ((i + 1) * from).div_ceil(to));
            (first..end).map(|index| (index, 1.0 / (end - first) as f32)).collect()
        }
    };
    (0..to).map(make).collect()
}

/// Keys' cubic convolution with a = -0.75: weights of the neighbours at -1, 0, 1 and 2.
fn cubic(t: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

/// One picture: along its rows, then along its columns.
fn scale_frame(frame: &[f32], [width, channels]: [usize; 2], across: &Taps<f32>, down: &Taps<f32>, out: &mut [f32]) {
    let row = across.len() * channels;
    let narrow: Vec<f32> = frame
        .chunks_exact(width * channels)
        .flat_map(|line| {
            across.iter().flat_map(move |taps| {
                (0..channels).map(move |channel| {
                    taps.iter().map(|&(x, weight)| weight * line[x * channels + channel]).sum::<f32>()
                })
            })
        })
        .collect();
    for (line, taps) in out.chunks_exact_mut(row).zip(down) {
        line.fill(0.0);
        for &(y, weight) in taps {
            let source = &narrow[y * row..][..row];
            line.iter_mut().zip(source).for_each(|(value, source)| *value += weight * source);
        }
    }
}

/// Pillow's weights have 22 bits behind the point.
const LANCZOS_BITS: u32 = 22;

/// Pillow's weights of the Lanczos filter, widened where the picture narrows.
fn lanczos_taps(from: usize, to: usize) -> Taps<i32> {
    let scale = from as f64 / to as f64;
    let filter_scale = scale.max(1.0);
    let support = 3.0 * filter_scale;
    (0..to)
        .map(|i| {
            let center = (i as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            let weights: Vec<f64> = (first..end).map(|x| lanczos((x as f64 - center + 0.5) / filter_scale)).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: f64| (weight / sum * f64::from(1 << LANCZOS_BITS)).round() as i32;
            weights.into_iter().enumerate().map(|(x, weight)| (first + x, fixed(weight))).collect()
        })
        .collect()
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) };
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

/// A picture of bytes, `[height, width, channels]`. Colour is weighted by transparency.
fn scale_bytes(bytes: &[u8], [height, width, channels]: [usize; 3], across: &Taps<i32>, down: &Taps<i32>) -> Vec<u8> {
    let has_alpha = channels == 4;
    let mut bytes = bytes.to_vec();
    if has_alpha {
        bytes.chunks_exact_mut(4).for_each(premultiply);
    }
    if across.len() != width {
        bytes = bytes.chunks_exact(width * channels).flat_map(|line| pass(line, 1, channels, across)).collect();
    }
    if down.len() != height {
        bytes = pass(&bytes, across.len() * channels, 1, down);
    }
    if has_alpha {
        bytes.chunks_exact_mut(4).for_each(unmultiply);
    }
    bytes
}

/// One axis: `[axis, row, lane]`, of which `row * lane` values move together.
fn pass(values: &[u8], row: usize, lanes: usize, taps: &Taps<i32>) -> Vec<u8> {
    let step = row * lanes;
    let mut out = Vec::with_capacity(taps.len() * step);
    for taps in taps {
        for lane in 0..step {
            let half = 1i64 << (LANCZOS_BITS - 1);
            let sum: i64 = taps.iter().map(|&(i, weight)| i64::from(values[i * step + lane]) * i64::from(weight)).sum();
            out.push(((sum + half) >> LANCZOS_BITS).clamp(0, 255) as u8);
        }
    }
    out
}

fn premultiply(pixel: &mut [u8]) {
    let alpha = u32::from(pixel[3]);
    for value in &mut pixel[..3] {
        let product = u32::from(*value) * alpha + 128;
        *value = (((product >> 8) + product) >> 8) as u8;
    }
}

fn unmultiply(pixel: &mut [u8]) {
    let alpha = u32::from(pixel[3]);
    if alpha != 0 && alpha != 255 {
        pixel[..3].iter_mut().for_each(|value| *value = (255 * u32::from(*value) / alpha).min(255) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `reference.py` from PyTorch and Pillow.
    const REFERENCE: &str = include_str!("reference.json");

    /// The same pictures as `reference.py` makes: a byte by position.
    fn picture(height: usize, width: usize, channels: usize) -> Image {
        let bytes: Vec<u8> = (0..height * width * channels).map(|i| (i * i * 37 + i * 91 + 13) as u8).collect();
        Image::from_bytes(&bytes, [1, height, width, channels])
    }

    #[test]
    fn every_method_gives_what_pytorch_and_pillow_give() {
        let cases: Vec<serde_json::Value> = serde_json::from_str(REFERENCE).unwrap();
        assert_eq!(cases.len(), 5 * 2 * 5);
        for case in cases {
            let number = |key: &str| case[key].as_u64().unwrap() as usize;
            let image = picture(number("from_height"), number("from_width"), number("channels"));
            let method = Method::named(case["method"].as_str().unwrap()).unwrap();
            let crop = Crop::named(case["crop"].as_str().unwrap()).unwrap();
            let found = scale(&image, [number("width"), number("height")], method, crop).unwrap();
            let want: Vec<f64> = case["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            assert_eq!(found.values().len(), want.len(), "{method:?} {crop:?}");
            for (found, want) in found.values().iter().zip(want) {
                assert!((f64::from(*found) - want).abs() < 2e-6, "{method:?} {crop:?}: {found}, not {want}");
            }
        }
    }

    #[test]
    fn a_size_of_nothing_is_refused() {
        assert!(scale(&picture(2, 2, 3), [0, 4], Method::Area, Crop::Disabled).is_err());
    }
}
