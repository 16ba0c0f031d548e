//! Squares of pixels on a card: one transpose.

use std::sync::Arc;

use vita_cuda::Card;
use vita_tensor::{Failure, Tensor};

use super::SIDE;
use crate::card::contiguous;
use crate::copies::brought;

pub fn fold(card: &Arc<Card>, x: &Tensor, dims: [usize; 4]) -> Result<Tensor, Failure> {
    let [frames, rows, columns, folded] = dims;
    // (frame and row, row of the square, column, column of the square, channel)
    let pixels = brought(card, x)?.reshape([frames * rows, SIDE, columns, SIDE, folded / (SIDE * SIDE)]);
    Ok(contiguous(card, &pixels.permute(&[0, 2, 4, 3, 1]), x.dtype())?.reshape(dims))
}

pub fn unfold(card: &Arc<Card>, x: &Tensor, dims: [usize; 4]) -> Result<Tensor, Failure> {
    let [frames, height, width, channels] = dims;
    // (frame and row, column, channel, column of the square, row of the square)
    let squares = brought(card, x)?.reshape([frames * height / SIDE, width / SIDE, channels, SIDE, SIDE]);
    Ok(contiguous(card, &squares.permute(&[0, 4, 1, 3, 2]), x.dtype())?.reshape(dims))
}
