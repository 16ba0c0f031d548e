//! Squares of 2 x 2 pixels as pixels of four times the channels, and back.

mod card;

use rayon::prelude::*;
use vita_tensor::Tensor;

use crate::card::Site;
use crate::to_f32;

/// Pixels a side.
pub const SIDE: usize = 2;

/// `[T, H, W, C]` to `[T, H/2, W/2, 4 C]`. A pixel's values are in the order `(channel, column, row)`.
///
/// # Panics
/// If H or W is odd.
#[must_use]
pub fn fold(x: &Tensor) -> Tensor {
    let [frames, height, width, channels] = x.sizes();
    assert!(height.is_multiple_of(SIDE) && width.is_multiple_of(SIDE), "squares of {}", x.dims());
    let dims = [frames, height / SIDE, width / SIDE, SIDE * SIDE * channels];
    if let Some(y) = Site::of([x]).make(x.dtype(), dims, |card| card::fold(card, x, dims)) {
        return y;
    }
    let x = to_f32(x);
    let values = x.f32s();
    let mut y = Tensor::scratch(dims);
    // One line of squares is two lines of pixels, both after one another.
    let line = width * channels;
    y.f32s_mut().par_chunks_mut(SIDE * line).enumerate().for_each(|(i, to)| {
        let from = &values[i * SIDE * line..][..SIDE * line];
        for (square, to) in to.chunks_exact_mut(SIDE * SIDE * channels).enumerate() {
            for (j, to) in to.iter_mut().enumerate() {
                let (channel, column, row) = (j / (SIDE * SIDE), j / SIDE % SIDE, j % SIDE);
                *to = from[row * line + (square * SIDE + column) * channels + channel];
            }
        }
    });
    y
}

/// The way back: `[T, h, w, 4 C]` to `[T, 2 h, 2 w, C]`.
///
/// # Panics
/// If channels are no multiple of four.
#[must_use]
pub fn unfold(x: &Tensor) -> Tensor {
    let [frames, height, width, folded] = x.sizes();
    assert!(folded.is_multiple_of(SIDE * SIDE), "squares of {}", x.dims());
    let channels = folded / (SIDE * SIDE);
    let dims = [frames, height * SIDE, width * SIDE, channels];
    if let Some(y) = Site::of([x]).make(x.dtype(), dims, |card| card::unfold(card, x, dims)) {
        return y;
    }
    let x = to_f32(x);
    let values = x.f32s();
    let mut y = Tensor::scratch(dims);
    let line = width * SIDE * channels;
    y.f32s_mut().par_chunks_mut(SIDE * line).enumerate().for_each(|(i, to)| {
        let from = &values[i * SIDE * line..][..SIDE * line];
        for (square, from) in from.chunks_exact(folded).enumerate() {
            for (j, value) in from.iter().enumerate() {
                let (channel, column, row) = (j / (SIDE * SIDE), j / SIDE % SIDE, j % SIDE);
                to[row * line + (square * SIDE + column) * channels + channel] = *value;
            }
        }
    });
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_where_the_definition_says() {
        let x = Tensor::from_vec((0..2 * 4 * 6 * 3).map(|i| i as f32).collect(), [2, 4, 6, 3]);
        let y = fold(&x);
        assert_eq!(y.sizes(), [2, 2, 3, 12]);
        for (i, j, c, row, column) in (0..72).map(|k| (k / 36, k / 12 % 3, k / 4 % 3, k / 2 % 2, k % 2)) {
            let want = x.at(&[1, 2 * i + row, 2 * j + column, c]);
            assert_eq!(y.at(&[1, i, j, c * 4 + column * 2 + row]), want);
        }
        assert_eq!(unfold(&y).to_vec(), x.to_vec());
        // A part of a wider picture.
        let part = x.narrow(2, 2, 2);
        assert_eq!(unfold(&fold(&part)).to_vec(), part.to_vec());
    }
}
