//! A picture as CLIP takes it: 224 x 224, on CLIP's scale of colours.
//!
//! Follows `clip_preprocess` of ComfyUI, which kijai's wrapper uses too: bicubic with antialiasing (PyTorch's
//! `interpolate`), values rounded to whole 255ths, then mean and standard deviation of CLIP's pictures.

use vita_tensor::Tensor;

use super::InputError;

/// What becomes of a picture that is not square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crop {
    /// Its middle is taken: the shorter side fills the square.
    Center,
    /// All of it is taken, stretched to a square.
    None,
}

const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// image: `[H, W, 3]` in 0..1, any strides. Returns `[3, size, size]`. A picture of that size is not resized.
///
/// # Errors
/// If the image has another form.
pub fn preprocess(image: &Tensor, size: usize, crop: Crop) -> Result<Tensor, InputError> {
    let &[height, width, 3] = &*image.dims() else { return Err(InputError::Image { found: image.dims() }) };
    if height == 0 || width == 0 || size == 0 {
        return Err(InputError::Image { found: image.dims() });
    }
    let scaled = match crop {
        _ if [height, width] == [size; 2] => [height, width],
        Crop::None => [size; 2],
        Crop::Center => {
            let scale = size as f64 / height.min(width) as f64;
            // As Python rounds.
            [height, width].map(|side| ((scale * side as f64).round_ties_even() as usize).max(size))
        }
    };
    if scaled[0].max(scaled[1]) > size * SIDES_MAX {
        return Err(InputError::Narrow { width, height });
    }
    let [rows, columns] = [Taps::new(height, scaled[0], size), Taps::new(width, scaled[1], size)];
    Ok(normalised(&resize(&image.to_vec(), [height, width], &rows, &columns), size))
}

/// How much longer than the other a side may be.
const SIDES_MAX: usize = 1 << 20;

/// What each of `size` pixels in the middle of a resized line is made of.
struct Taps {
    /// First source pixel, and the weights from there on.
    of_pixel: Vec<(usize, Vec<f32>)>,
}

impl Taps {
    /// Weights that resize `from` pixels to `to`, of which the middle `size` are wanted.
    fn new(from: usize, to: usize, size: usize) -> Self {
        let start = (to - size) / 2;
        let of_pixel = match from == to {
            true => (start..start + size).map(|i| (i, vec![1.0])).collect(),
            false => (start..start + size).map(|i| taps(i, from, to)).collect(),
        };
        Self { of_pixel }
    }
}

/// PyTorch's antialiased bicubic weights: the kernel is as wide as the picture is reduced.
fn taps(i: usize, from: usize, to: usize) -> (usize, Vec<f32>) {
    // In f32 as there, so that the edges of the window are the same.
    let scale = from as f32 / to as f32;
    let reduction = scale.max(1.0);
    let support = 2.0 * reduction;
    let center = scale * (i as f32 + 0.5);
    let first = ((center - support + 0.5) as i64).max(0) as usize;
    let end = ((center + support + 0.5) as usize).min(from);
    let weights = (first..end).map(|j| cubic((j as f32 - center + 0.5) / reduction));
    let weights: Vec<f32> = weights.collect();
    let sum: f32 = weights.iter().sum();
    (first, weights.iter().map(|weight| weight / sum).collect())
}

/// Keys' kernel with a = -1/2.
fn cubic(x: f32) -> f32 {
    const A: f32 = -0.5;
    let x = x.abs();
    match x {
        _ if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        _ if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// Columns first, then rows. Returns `[size, size, 3]`.
fn resize(image: &[f32], [height, width]: [usize; 2], rows: &Taps, columns: &Taps) -> Vec<f32> {
    let size = columns.of_pixel.len();
    // Only the rows that are needed.
    let first = rows.of_pixel.iter().map(|(first, _)| *first).min().unwrap_or(0);
    let end = rows.of_pixel.iter().map(|(first, weights)| first + weights.len()).max().unwrap_or(0).min(height);
    let mut lines = Vec::with_capacity((end - first) * size * 3);
    for line in image[first * width * 3..end * width * 3].chunks_exact(width * 3) {
        for (start, weights) in &columns.of_pixel {
            let mut sum = [0.0f32; 3];
            for (pixel, weight) in line[start * 3..].chunks_exact(3).zip(weights) {
                sum.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value * weight);
            }
            lines.extend(sum);
        }
    }
    let mut out = vec![0.0; size * size * 3];
    for ((start, weights), to) in rows.of_pixel.iter().zip(out.chunks_exact_mut(size * 3)) {
        for (line, weight) in lines[(start - first) * size * 3..].chunks_exact(size * 3).zip(weights) {
            to.iter_mut().zip(line).for_each(|(sum, value)| *sum += value * weight);
        }
    }
    out
}

/// Whole 255ths on CLIP's scale, channels first.
fn normalised(pixels: &[f32], size: usize) -> Tensor {
    let mut y = Tensor::scratch([3, size, size]);
    for (channel, plane) in y.f32s_mut().chunks_exact_mut(size * size).enumerate() {
        for (to, pixel) in plane.iter_mut().zip(pixels.chunks_exact(3)) {
            let value = (255.0 * pixel[channel]).clamp(0.0, 255.0).round_ties_even() / 255.0;
            *to = (value - MEAN[channel]) / STD[channel];
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(height: usize, width: usize) -> Tensor {
        let values = (0..height * width * 3).map(|i| ((i * i % 251) as f32 / 251.0 * 0.9) + 0.05).collect();
        Tensor::from_vec(values, [height, width, 3])
    }

    #[test]
    fn weights_add_up_and_the_middle_is_taken() {
        for (from, to) in [(3, 9), (100, 7), (7, 100), (50, 49)] {
            for (first, weights) in Taps::new(from, to, to.min(7)).of_pixel {
                assert!(first + weights.len() <= from && !weights.is_empty());
                assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            }
        }
        // A picture of the right height: its middle columns, only rounded.
        let image = picture(8, 12);
        let got = preprocess(&image, 8, Crop::Center).unwrap();
        for (row, column, channel) in (0..192).map(|i| (i / 24, i / 3 % 8, i % 3)) {
            let value = (255.0 * image.at(&[row, column + 2, channel])).round() / 255.0;
            let want = (value - f64::from(MEAN[channel])) / f64::from(STD[channel]);
            assert!((got.at(&[channel, row, column]) - want).abs() < 1e-5);
        }
    }

    #[test]
    fn one_colour_stays_one_colour() {
        let image = Tensor::from_vec(vec![0.6; 5 * 31 * 3], [5, 31, 3]);
        for crop in [Crop::Center, Crop::None] {
            for value in preprocess(&image, 16, crop).unwrap().narrow(0, 1, 1).to_vec() {
                assert!((value - (0.6 - MEAN[1]) / STD[1]).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for dims in [&[0, 4, 3][..], &[4, 4, 4], &[4, 4], &[1, 4, 4, 3]] {
            let error = preprocess(&Tensor::zeros(dims), 8, Crop::None).unwrap_err();
            assert!(matches!(error, InputError::Image { .. }), "{dims:?}");
        }
    }
}
