//! Videos to tokens and back, in patches of 1 x 2 x 2.

use rayon::prelude::*;
use vita_tensor::Tensor;

use crate::to_f32;

/// Side of a patch, in rows and in columns.
const SIDE: usize = 2;

/// `[C, T, H, W]` to tokens `[T * H/2 * W/2, C * 4]`, frame by frame, row by row. A token's values are in
/// the order `(channel, row, column)` of a convolution weight `[out, C, 1, 2, 2]`.
///
/// # Panics
/// If H or W is odd.
#[must_use]
pub fn patchify(x: &Tensor) -> Tensor {
    let [channels, frames, height, width] = x.sizes();
    assert!(height.is_multiple_of(SIDE) && width.is_multiple_of(SIDE), "patches of {}", x.dims());
    let [rows, columns] = [height / SIDE, width / SIDE];
    // [C, T, h, 2, w, 2] -> [T, h, w, C, 2, 2]
    let split = to_f32(x).reshape([channels, frames, rows, SIDE, columns, SIDE]);
    to_f32(&split.permute(&[1, 2, 4, 0, 3, 5])).reshape([frames * rows * columns, channels * SIDE * SIDE])
}

/// Tokens `[T * h * w, 4 * C]` of a grid `[T, h, w]` to `[C, T, 2h, 2w]`. A token's values are in the
/// order `(row, column, channel)`, as the head of the Wan transformer gives them.
///
/// # Panics
/// If the tokens are not those of the grid.
#[must_use]
pub fn unpatchify(tokens: &Tensor, [frames, rows, columns]: [usize; 3]) -> Tensor {
    let [count, width] = tokens.sizes();
    assert!(count == frames * rows * columns && width.is_multiple_of(SIDE * SIDE), "tokens {}", tokens.dims());
    let channels = width / (SIDE * SIDE);
    let tokens = to_f32(tokens);
    let from = tokens.f32s();
    let mut y = Tensor::scratch([channels, frames, rows * SIDE, columns * SIDE]);
    y.f32s_mut().par_chunks_mut(columns * SIDE).enumerate().for_each(|(line, out)| {
        // One line of pixels of one channel.
        let (plane_row, half) = (line / SIDE, line % SIDE);
        let (channel, row) = (plane_row / (frames * rows), plane_row % (frames * rows));
        for (x, value) in out.iter_mut().enumerate() {
            let token = row * columns + x / SIDE;
            *value = from[token * width + (half * SIDE + x % SIDE) * channels + channel];
        }
    });
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn each_value_is_where_the_definition_says() {
        for [channels, frames, rows, columns] in [[1, 1, 1, 1], [3, 2, 3, 5], [16, 1, 4, 2]] {
            let x = Random::new(2).tensor(&[channels, frames, 2 * rows, 2 * columns]);
            let tokens = patchify(&x);
            let mut head = Vec::new();
            for f in 0..frames {
                for r in 0..rows {
                    for c in 0..columns {
                        let token = (f * rows + r) * columns + c;
                        for channel in 0..channels {
                            for p in 0..4 {
                                let want = x.at(&[channel, f, 2 * r + p / 2, 2 * c + p % 2]);
                                assert_eq!(tokens.at(&[token, channel * 4 + p]), want);
                            }
                        }
                        for p in 0..4 {
                            head.extend((0..channels).map(|ch| x.at(&[ch, f, 2 * r + p / 2, 2 * c + p % 2]) as f32));
                        }
                    }
                }
            }
            let head = Tensor::from_vec(head, [frames * rows * columns, 4 * channels]);
            assert_eq!(unpatchify(&head, [frames, rows, columns]).to_vec(), x.to_vec());
        }
    }
}
