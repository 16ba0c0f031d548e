//! Squares that pictures are cut into: what the wrapper's decoding and encoding nodes share.

use std::ops::RangeInclusive;

use vita_graph::{Inputs, NodeError, Spec, int};
use vita_pipeline::Tile;

/// Least and greatest, and steps, of sizes and strides.
pub struct Bounds {
    size: RangeInclusive<i128>,
    size_step: i128,
    stride: RangeInclusive<i128>,
    stride_step: i128,
}

/// Of the node that decodes.
pub const WIDEST: Bounds = Bounds { size: 40..=2048, size_step: 8, stride: 32..=2040, stride_step: 8 };

/// Of the nodes that encode.
pub const NARROWER: Bounds = Bounds { size: 64..=2048, size_step: 1, stride: 32..=2048, stride_step: 32 };

/// The four inputs.
pub fn tile_fields(spec: Spec, bounds: Bounds) -> Spec {
    let Bounds { size, size_step, stride, stride_step } = bounds;
    let side = |range: &RangeInclusive<i128>, default, step| int(default, range.clone(), step);
    let whole = "Pixels of a square's side; of the two sizes the larger counts.";
    let part = "Pixels from one square to the next; of the two strides the smaller counts.";
    spec.input("tile_x", side(&size, 272, size_step).tooltip(whole))
        .input("tile_y", side(&size, 272, size_step).tooltip(whole))
        .input("tile_stride_x", side(&stride, 144, stride_step).tooltip(part))
        .input("tile_stride_y", side(&stride, 128, stride_step).tooltip(part))
}

/// Squares, if any are asked for. The original may have rectangles: the squares hold them and overlap no less, so
/// that seams are no worse.
///
/// # Errors
/// If they would leave gaps.
pub fn tiles(inputs: &Inputs) -> Result<Option<Tile>, NodeError> {
    if !inputs.bool("enable_vae_tiling")? {
        return Ok(None);
    }
    let size = inputs.count("tile_x")?.max(inputs.count("tile_y")?);
    let stride = inputs.count("tile_stride_x")?.min(inputs.count("tile_stride_y")?);
    match stride < size {
        true => Ok(Some(Tile { size, overlap: size - stride })),
        false => Err(NodeError::Failed {
            kind: "ValueError",
            message: format!("squares of {size} pixels, {stride} pixels apart, do not overlap"),
            hint: Some("make `tile_stride_x` and `tile_stride_y` smaller than `tile_x` and `tile_y`".into()),
        }),
    }
}
