//! Pictures to another size, as ComfyUI does it: PyTorch's bilinear interpolation and Pillow's Lanczos.
//!
//! Pictures are `[F, H, W, 3]` in 0..1.

use rayon::prelude::*;
use vita_tensor::Tensor;

use crate::Error;

/// # Errors
/// If they are not `[F, H, W, 3]`, or empty.
pub(crate) fn check_pictures(pictures: &Tensor) -> Result<(), Error> {
    match *pictures.dims() {
        [frames, height, width, 3] if frames * height * width > 0 => Ok(()),
        _ => Err(Error::Pictures { found: pictures.dims() }),
    }
}

/// The middle of the pictures in the shape of the size asked for, then bilinear: ComfyUI's `common_upscale` with
/// `bilinear` and `center`. Reduces without antialiasing, as there.
///
/// # Panics
/// If they are not `[F, H, W, 3]`, or a size is 0.
#[must_use]
pub fn bilinear_center(pictures: &Tensor, [height, width]: [usize; 2]) -> Tensor {
    let [_, rows, columns, _] = pictures.sizes();
    let (top, left) = margins([rows, columns], [height, width]);
    let cut = pictures.narrow(1, top, rows - 2 * top).narrow(2, left, columns - 2 * left);
    let [frames, rows, columns, channels] = cut.sizes();
    let cut = vita_ops::to_f32(&cut);
    if [rows, columns] == [height, width] {
        return cut;
    }
    let (down, across) = (linear_taps(rows, height), linear_taps(columns, width));
    let mut out = Tensor::scratch([frames, height, width, channels]);
    let frame = rows * columns * channels;
    let lines = out.f32s_mut().par_chunks_exact_mut(width * channels).enumerate();
    lines.for_each(|(index, line)| {
        let from = &cut.f32s()[index / height * frame..][..frame];
        let (low, high, share) = down[index % height];
        let [low, high] = [low, high].map(|row| &from[row * columns * channels..][..columns * channels]);
        for (pixel, &(left, right, across)) in line.chunks_exact_mut(channels).zip(&across) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let of_row = |row: &[f32]| {
                    let [left, right] = [left, right].map(|column| row[column * channels + channel]);
                    (1.0 - across) * left + across * right
                };
                *value = (1.0 - share) * of_row(low) + share * of_row(high);
            }
        }
    });
    out
}

/// Pillow's Lanczos on bytes, whatever the pictures' shape becomes: ComfyUI's `common_upscale` with `lanczos` and
/// `disabled`. Values are cut off to whole 255ths before and after.
///
/// # Panics
/// If they are not `[F, H, W, 3]`, or a size is 0.
#[must_use]
pub fn lanczos(pictures: &Tensor, [height, width]: [usize; 2]) -> Tensor {
    let [frames, rows, columns, channels] = pictures.sizes();
    let bytes: Vec<u8> = pictures.to_vec().iter().map(|&value| (255.0 * value).clamp(0.0, 255.0) as u8).collect();
    let (across, down) = (lanczos_taps(columns, width), lanczos_taps(rows, height));
    let mut out = Tensor::scratch([frames, height, width, channels]);
    let per_frame = height * width * channels;
    let frames = out.f32s_mut().par_chunks_exact_mut(per_frame).zip(bytes.par_chunks_exact(rows * columns * channels));
    frames.for_each(|(to, from)| {
        let narrowed = along(from, [rows, columns, channels], across.as_deref());
        let resized = along(&narrowed, [1, rows, width * channels], down.as_deref());
        to.iter_mut().zip(&resized).for_each(|(to, &byte)| *to = f32::from(byte) / 255.0);
    });
    out
}

/// Cuts rows and columns off on both sides until both counts are multiples; one more below and on the right.
pub(crate) fn crop_to_multiple(pictures: &Tensor, factor: usize) -> Tensor {
    let [_, rows, columns, _] = pictures.sizes();
    // Fewer than one multiple is left for the encoder to refuse.
    let kept = |size: usize| if size < factor { size } else { size / factor * factor };
    let (height, width) = (kept(rows), kept(columns));
    pictures.narrow(1, (rows - height) / 2, height).narrow(2, (columns - width) / 2, width)
}

/// Videos of equal pictures, one after the other; `[sum of F, H, W, C]`.
pub(crate) fn after_each_other(parts: &[Tensor]) -> Tensor {
    if let [whole] = parts {
        return whole.clone();
    }
    let [_, height, width, channels] = parts[0].sizes();
    let mut whole = Tensor::scratch([parts.iter().map(|part| part.dims()[0]).sum(), height, width, channels]);
    let mut rest = whole.f32s_mut();
    for part in parts {
        let part = vita_ops::to_f32(part);
        let (here, after) = rest.split_at_mut(part.element_count());
        here.copy_from_slice(part.f32s());
        rest = after;
    }
    whole
}

/// For each of `to` pixels along an axis of `from`: two neighbours, and the share of the second.
pub(crate) fn linear_taps(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    // In f32 as PyTorch computes them.
    let scale = from as f32 / to as f32;
    let tap = |i: usize| {
        let at = (scale * (i as f32 + 0.5) - 0.5).max(0.0);
        let low = (at as usize).min(from - 1);
        (low, (low + 1).min(from - 1), (at - low as f32).clamp(0.0, 1.0))
    };
    (0..to).map(tap).collect()
}

/// Rows and columns to cut off on each side so that what is left has the shape of the size asked for.
fn margins([rows, columns]: [usize; 2], [height, width]: [usize; 2]) -> (usize, usize) {
    let (old, new) = (columns as f64 / rows as f64, width as f64 / height as f64);
    // As Python rounds.
    let margin = |size: usize, ratio: f64| ((size as f64 - size as f64 * ratio) / 2.0).round_ties_even() as usize;
    let most = |size: usize| (size - 1) / 2;
    match old.total_cmp(&new) {
        std::cmp::Ordering::Greater => (0, margin(columns, new / old).min(most(columns))),
        std::cmp::Ordering::Less => (margin(rows, old / new).min(most(rows)), 0),
        std::cmp::Ordering::Equal => (0, 0),
    }
}

/// First source pixel and whole weights of each pixel; `None` where nothing changes.
type Taps = Vec<(usize, Vec<i32>)>;

/// Bits behind the point of Pillow's weights for bytes.
const WEIGHT_BITS: u32 = 32 - 8 - 2;

fn lanczos_taps(from: usize, to: usize) -> Option<Taps> {
    if from == to {
        return None;
    }
    let scale = from as f64 / to as f64;
    let reduction = scale.max(1.0);
    let support = LANCZOS_LOBES * reduction;
    let tap = |i: usize| {
        let center = (i as f64 + 0.5) * scale;
        let first = ((center - support + 0.5) as i64).max(0) as usize;
        let end = ((center + support + 0.5) as usize).min(from);
        let weights: Vec<f64> = (first..end).map(|j| lobe((j as f64 - center + 0.5) / reduction)).collect();
        let sum: f64 = weights.iter().sum();
        let whole = |weight: &f64| {
            let weight = weight / sum * f64::from(1 << WEIGHT_BITS);
            // Rounded away from zero at a half, as Pillow does.
            (if weight < 0.0 { weight - 0.5 } else { weight + 0.5 }) as i32
        };
        (first, weights.iter().map(whole).collect())
    };
    Some((0..to).map(tap).collect())
}

const LANCZOS_LOBES: f64 = 3.0;

fn lobe(x: f64) -> f64 {
    let sinc = |x: f64| match x {
        0.0 => 1.0,
        _ => (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x),
    };
    match (-LANCZOS_LOBES..LANCZOS_LOBES).contains(&x) {
        true => sinc(x) * sinc(x / LANCZOS_LOBES),
        false => 0.0,
    }
}

/// Resizes the middle axis of `[outer, from, inner]`.
fn along(bytes: &[u8], [outer, from, inner]: [usize; 3], taps: Option<&[(usize, Vec<i32>)]>) -> Vec<u8> {
    let Some(taps) = taps else { return bytes.to_vec() };
    let mut out = Vec::with_capacity(outer * taps.len() * inner);
    let mut sums = vec![0i32; inner];
    for block in bytes.chunks_exact(from * inner) {
        for (first, weights) in taps {
            sums.fill(1 << (WEIGHT_BITS - 1));
            for (line, &weight) in block[first * inner..].chunks_exact(inner).zip(weights) {
                sums.iter_mut().zip(line).for_each(|(sum, &byte)| *sum += i32::from(byte) * weight);
            }
            out.extend(sums.iter().map(|sum| (sum >> WEIGHT_BITS).clamp(0, 255) as u8));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(i * i * 7 + i * 13) % 256`, as the reference below was given.
    fn picture(height: usize, width: usize) -> Tensor {
        let bytes: Vec<u8> = (0..height * width * 3).map(|i| ((i * i * 7 + i * 13) % 256) as u8).collect();
        crate::frame::pictures([1, height, width], &bytes)
    }

    fn bytes(pictures: &Tensor) -> Vec<u8> {
        pictures.to_vec().iter().map(|&value| (value * 255.0 + 0.5) as u8).collect()
    }

    #[test]
    fn the_middle_is_cut_out_in_the_shape_asked_for() {
        for (from, to, want) in [
            ([480, 832], [480, 832], (0, 0)),
            ([100, 300], [50, 50], (0, 100)),
            ([300, 100], [50, 50], (100, 0)),
            // Python rounds 2.5 to 2.
            ([5, 10], [5, 5], (0, 2)),
            ([1, 9], [64, 1], (0, 4)),
        ] {
            assert_eq!(margins(from, to), want, "{from:?} to {to:?}");
        }
        let cut = crop_to_multiple(&picture(19, 9), 8);
        assert_eq!(cut.sizes(), [1, 16, 8, 3]);
        assert_eq!(cut.to_vec()[..3], picture(19, 9).narrow(1, 1, 1).to_vec()[..3]);
        assert_eq!(crop_to_multiple(&picture(7, 9), 8).sizes(), [1, 7, 8, 3]);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for dims in [&[4, 4, 3][..], &[1, 4, 4, 4], &[0, 4, 4, 3], &[1, 0, 4, 3]] {
            assert!(check_pictures(&Tensor::zeros(dims)).is_err(), "{dims:?}");
        }
    }

    /// Pillow 12: `Image.fromarray(picture).resize((width, height), Image.LANCZOS)`, and for large results the sum of
    /// each byte times its place from 1.
    #[test]
    fn lanczos_is_pillows_in_every_byte() {
        let small = lanczos(&picture(5, 7), [3, 4]);
        assert_eq!(
            bytes(&small),
            [
                77, 93, 146, 105, 178, 146, 125, 91, 110, 174, 187, 142, 147, 93, 166, 144, 107, 192, 123, 168, 89,
                129, 171, 55, 108, 106, 143, 85, 54, 95, 133, 131, 90, 108, 93, 42
            ]
        );
        for ([rows, columns, height, width], want) in [([4, 3, 9, 8], 3_243_353), ([6, 6, 6, 2], 77_133)] {
            let resized = bytes(&lanczos(&picture(rows, columns), [height, width]));
            let sum: usize = resized.iter().enumerate().map(|(i, &byte)| (i + 1) * usize::from(byte)).sum();
            assert_eq!(sum, want, "{rows}x{columns}");
        }
        assert_eq!(bytes(&lanczos(&picture(5, 7), [5, 7])), bytes(&picture(5, 7)));
    }

    /// PyTorch 2.15: `interpolate(..., mode="bilinear")`, its first values and the sum of each value times its place.
    #[test]
    fn bilinear_is_pytorchs() {
        let check = |[rows, columns, height, width]: [usize; 4], first: &[f32], sum: f64| {
            let resized = bilinear_center(&picture(rows, columns), [height, width]).to_vec();
            for (got, want) in resized.iter().zip(first) {
                assert!((got - want).abs() < 2e-6, "{got}, want {want}");
            }
            let got: f64 = resized.iter().enumerate().map(|(i, &value)| (i + 1) as f64 * f64::from(value)).sum();
            assert!((got - sum).abs() < 1e-5 * sum, "{got}, want {sum}");
        };
        let first = [0.247_712, 0.312_091, 0.556_863, 0.320_261, 0.714_706, 0.327_451];
        check([5, 7, 3, 4], &first, 299.910_145_670_175_55);
        let first = [0.0, 0.078_431, 0.211_765, 0.025, 0.113_725, 0.257_353];
        check([4, 3, 9, 8], &first, 12_816.275_610_223_413);
    }
}
