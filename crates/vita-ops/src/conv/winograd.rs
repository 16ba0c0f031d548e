//! 3 x 3 kernels in steps of one, by Winograd's minimal filtering F(4 x 4, 3 x 3): a tile of 4 x 4 outputs
//! takes 36 products a channel pair, where the definition takes 144 (Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", with their points 0, 1, -1, 2, -2).
//!
//! `Y = A^T [ sum over frames and channels of (G g G^T) * (B^T d B) ] A`: the sum over frames of the kernel
//! stays inside the brackets, so each frame is transformed once however many taps meet it. For each of the 36
//! places the sum is a matrix product. Work goes strip by strip of tile rows, which bounds the memory.

use rayon::prelude::*;
use vita_tensor::Tensor;

use super::Shape;
use super::direct::Input;
use super::transform::{InputTile, KernelPanel, OutputTile};
use crate::gemm::{BLOCK, Output, PANEL, Packed, PanelProduct};
use crate::simd::Isa;

/// Outputs of a tile, along a side.
pub(super) const TILE: usize = 4;

/// Places of a transformed tile.
pub(super) const PLACES: usize = 36;

/// What a strip's transformed input and sums may take together: about the last cache of a desktop processor.
const STRIP_BYTES: usize = 40 << 20;

/// Length of the sum done at once, see `gemm::driver`.
const DEPTH_BLOCK: usize = 192;

/// The kernel as it is stored, arranged so that one panel of output channels can be transformed at a time.
pub(super) struct Weight {
    /// `[out, kt * in * 9]`
    packed: Packed,
    depth: usize,
}

/// Whether this method does a convolution's work.
pub(super) fn suits(shape: &Shape) -> bool {
    let [_, kh, kw] = shape.kernel;
    let options = &shape.options;
    let same = options.pad_height == [1; 2] && options.pad_width == [1; 2] && options.stride == [1; 3];
    kh == 3 && kw == 3 && same && shape.in_channels.is_multiple_of(BLOCK)
}

impl Weight {
    /// weight: `[out, in, kt * 9]`
    pub fn new(weight: &Tensor, shape: &Shape) -> Self {
        let [out, channels, _] = weight.sizes();
        let frames = shape.kernel[0];
        let by_frame = super::swap_middle_axes(&weight.reshape([out, channels, frames, 9]));
        Self { packed: Packed::new(&by_frame.reshape([out, frames * channels * 9])), depth: frames * channels }
    }

    /// As it is stored, `[out, kt * in * 9]`.
    pub fn packed(&self) -> &Packed {
        &self.packed
    }

    pub fn size_bytes(&self) -> usize {
        self.packed.size_bytes()
    }

    fn transformed_len(&self) -> usize {
        transformed_len(self.packed.rows, self.depth)
    }

    /// The transformed kernel, `[out / PANEL][PLACES][kt * in][PANEL]`.
    fn transform(&self, isa: Isa) -> Tensor {
        let mut all = Tensor::scratch([self.transformed_len()]);
        all.f32s_mut().par_chunks_mut(PLACES * self.depth * PANEL).enumerate().for_each_init(
            Vec::new,
            |scratch, (i, to)| {
                const KERNELS: usize = 16;
                for first in (0..self.depth).step_by(KERNELS) {
                    let count = KERNELS.min(self.depth - first);
                    let kernels = self.packed.panel(isa, i, first * 9, count * 9, scratch);
                    isa.run(KernelPanel { kernels, first, depth: self.depth, to });
                }
            },
        );
        all
    }
}

/// Bytes of the transformed kernel and of a strip, for an input of frames, rows and columns.
pub(super) fn scratch_bytes(shape: &Shape, [frames, height, width]: [usize; 3]) -> usize {
    let (frames_in, enlarge) = (frames + shape.kernel[0] - 1, shape.options.enlarge);
    let plan = Plan::new(shape, frames_in, frames, [height * enlarge, width * enlarge]);
    let kernel = transformed_len(shape.out_channels, shape.kernel[0] * shape.in_channels);
    size_of::<f32>() * (kernel + plan.input_len() + plan.sums_len())
}

fn transformed_len(out_channels: usize, depth: usize) -> usize {
    out_channels.div_ceil(PANEL) * PLACES * depth * PANEL
}

/// Sizes of a call: how tiles are cut into strips, and what a strip takes.
struct Plan {
    channels: usize,
    out_channels: usize,
    /// Frames that are transformed, and frames of the output.
    frames_in: usize,
    frames_out: usize,
    tile_rows: usize,
    tile_columns: usize,
    rows_per_strip: usize,
}

impl Plan {
    fn new(shape: &Shape, frames_in: usize, frames_out: usize, [height, width]: [usize; 2]) -> Self {
        let (tile_rows, tile_columns) = (height.div_ceil(TILE), width.div_ceil(TILE));
        let per_tile = frames_in * shape.in_channels + frames_out * shape.out_channels;
        let row_bytes = tile_columns * per_tile * PLACES * size_of::<f32>();
        Self {
            channels: shape.in_channels,
            out_channels: shape.out_channels,
            frames_in,
            frames_out,
            tile_rows,
            tile_columns,
            rows_per_strip: (STRIP_BYTES / row_bytes.max(1)).clamp(1, tile_rows.max(1)),
        }
    }

    fn strip_tiles(&self) -> usize {
        self.rows_per_strip * self.tile_columns
    }

    fn input_len(&self) -> usize {
        PLACES * self.frames_in * self.channels * self.strip_tiles()
    }

    fn sums_len(&self) -> usize {
        self.frames_out * self.strip_tiles() * PLACES * self.out_channels
    }
}

pub(super) fn conv(isa: Isa, weight: &Weight, bias: Option<&[f32]>, input: &Input, y: &mut [f32]) {
    let extent = &input.extent;
    let [frames_out, height, width] = extent.out;
    let frames_in = (frames_out + input.shape.kernel[0] - 1) - extent.blank;
    let plan = Plan::new(&input.shape, frames_in, frames_out, [height, width]);
    if y.is_empty() {
        return;
    }
    let kernel = weight.transform(isa);
    let mut transformed = Tensor::scratch([plan.input_len()]);
    let mut sums = Tensor::scratch([plan.sums_len()]);
    for first_row in (0..plan.tile_rows).step_by(plan.rows_per_strip) {
        let rows = plan.rows_per_strip.min(plan.tile_rows - first_row);
        let strip = Strip { plan: &plan, first_row, tiles: rows * plan.tile_columns };
        strip.transform_input(isa, input, transformed.f32s_mut());
        strip.multiply(isa, weight.depth, kernel.f32s(), transformed.f32s(), extent.blank, sums.f32s_mut());
        strip.transform_output(isa, bias, sums.f32s(), [height, width], y);
    }
}

/// Some rows of tiles, through all frames.
struct Strip<'a> {
    plan: &'a Plan,
    first_row: usize,
    tiles: usize,
}

impl Strip<'_> {
    /// Writes `[PLACES][frames_in][in / BLOCK][tiles][BLOCK]`: for one place, the blocked rows of a product
    /// whose sum runs over frames and channels.
    fn transform_input(&self, isa: Isa, input: &Input, to: &mut [f32]) {
        let plan = self.plan;
        let blocks = plan.channels / BLOCK;
        let place_stride = plan.frames_in * blocks * self.tiles * BLOCK;
        let to = Output::new(to, place_stride);
        (0..plan.frames_in * self.tiles).into_par_iter().with_min_len(8).for_each(|i| {
            let (frame, tile) = (i / self.tiles, i % self.tiles);
            isa.run(InputTile {
                input,
                frame: frame + input.extent.blank,
                row: (self.first_row + tile / plan.tile_columns) * TILE,
                column: tile % plan.tile_columns * TILE,
                to: to.at(0, (frame * blocks * self.tiles + tile) * BLOCK),
                block_stride: self.tiles * BLOCK,
            });
        });
    }

    /// Writes the sums `[frames_out][tiles][PLACES][out]`.
    fn multiply(&self, isa: Isa, depth: usize, kernel: &[f32], input: &[f32], blank: usize, sums: &mut [f32]) {
        let plan = self.plan;
        let channels = plan.channels;
        let place_stride = plan.frames_in * channels * self.tiles;
        let sums = Output::new(sums, PLACES * plan.out_channels);
        (0..PLACES * plan.frames_out).into_par_iter().for_each(|i| {
            let (place, frame) = (i / plan.frames_out, i % plan.frames_out);
            // Taps that meet blank frames add nothing.
            let first = blank.saturating_sub(frame) * channels;
            let frame_in = frame.saturating_sub(blank);
            let rows = &input[place * place_stride + frame_in * channels * self.tiles..(place + 1) * place_stride];
            for start in (first..depth).step_by(DEPTH_BLOCK) {
                let len = DEPTH_BLOCK.min(depth - start);
                for panel in 0..plan.out_channels.div_ceil(PANEL) {
                    isa.run(PanelProduct::<BLOCK> {
                        a: &rows[(start - first) * self.tiles..],
                        a_stride: self.tiles * BLOCK,
                        rows: self.tiles,
                        depth: len,
                        b: &kernel[((panel * PLACES + place) * depth + start) * PANEL..],
                        c: sums.at(frame * self.tiles, place * plan.out_channels + panel * PANEL),
                        columns: PANEL.min(plan.out_channels - panel * PANEL),
                        accumulate: start > first,
                    });
                }
            }
        });
    }

    fn transform_output(&self, isa: Isa, bias: Option<&[f32]>, sums: &[f32], size: [usize; 2], y: &mut [f32]) {
        let plan = self.plan;
        let [height, width] = size;
        let y = Output::new(y, plan.out_channels);
        let per_tile = PLACES * plan.out_channels;
        (0..plan.frames_out * self.tiles).into_par_iter().with_min_len(8).for_each(|i| {
            let (frame, tile) = (i / self.tiles, i % self.tiles);
            let row = (self.first_row + tile / plan.tile_columns) * TILE;
            let column = tile % plan.tile_columns * TILE;
            isa.run(OutputTile {
                sums: &sums[i * per_tile..][..per_tile],
                bias,
                channels: plan.out_channels,
                rows: TILE.min(height - row),
                columns: TILE.min(width - column),
                width,
                to: y.at((frame * height + row) * width + column, 0),
            });
        });
    }
}
