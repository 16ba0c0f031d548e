//! The three transforms of the Winograd convolution, over vectors of channels.

use pulp::{Simd, WithSimd};

use super::direct::Input;
use super::winograd::{PLACES, TILE};
use crate::gemm::{BLOCK, Output, PANEL};
use crate::simd::{load, store};

/// Pixels that a tile of outputs reads, along a side.
const REACH: usize = TILE + 2;

/// `B^T d B` of one tile's input, for all channels.
pub(super) struct InputTile<'a> {
    pub input: &'a Input<'a>,
    /// Counted from the blank frames on.
    pub frame: usize,
    /// Of the tile's first output pixel.
    pub row: usize,
    pub column: usize,
    /// Row `place`, column 0 takes the first block of channels.
    pub to: Output,
    /// From one block of channels to the next.
    pub block_stride: usize,
}

impl WithSimd for InputTile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.input.shape.in_channels;
        let frame = self.input.frame(self.frame).expect("blank frames are not transformed");
        // Offset of each pixel's channels in the frame; `None` in the padding.
        let pixels: [Option<usize>; REACH * REACH] =
            std::array::from_fn(|i| self.input.pixel_offset(self.row + i / REACH, self.column + i % REACH));
        for block in 0..channels / BLOCK {
            for lane in (0..BLOCK).step_by(S::F32_LANES) {
                let channel = block * BLOCK + lane;
                let mut tile = [simd.splat_f32s(0.0); PLACES];
                for (value, offset) in tile.iter_mut().zip(pixels) {
                    if let Some(offset) = offset {
                        let values = &frame[offset + channel..][..S::F32_LANES];
                        // SAFETY: the slice is one vector long.
                        *value = unsafe { load::<S>(values.as_ptr()) };
                    }
                }
                for column in 0..REACH {
                    let d = std::array::from_fn(|row| tile[row * REACH + column]);
                    let t = input_line(simd, d);
                    (0..REACH).for_each(|row| tile[row * REACH + column] = t[row]);
                }
                for row in 0..REACH {
                    let d = std::array::from_fn(|column| tile[row * REACH + column]);
                    let t = input_line(simd, d);
                    for (column, &value) in t.iter().enumerate() {
                        let to = self.to.at(row * REACH + column, block * self.block_stride + lane);
                        // SAFETY: this task alone writes this tile's places, which the layout has room for.
                        unsafe { store::<S>(to.row(0, S::F32_LANES).as_mut_ptr(), value) };
                    }
                }
            }
        }
    }
}

/// `B^T d` of one line.
#[inline(always)]
fn input_line<S: Simd>(simd: S, d: [S::f32s; REACH]) -> [S::f32s; REACH] {
    let [two, four, five] = [2.0, 4.0, 5.0].map(|value| simd.splat_f32s(value));
    let fma = |a, b, c| simd.mul_add_e_f32s(a, b, c);
    let minus = |a| simd.neg_f32s(a);
    // d4 - 4 d2 and d3 - 4 d1 are shared, as are d4 - d2 and 2 (d3 - d1).
    let even = fma(minus(four), d[2], d[4]);
    let odd = fma(minus(four), d[1], d[3]);
    let near_even = simd.sub_f32s(d[4], d[2]);
    let near_odd = simd.mul_f32s(two, simd.sub_f32s(d[3], d[1]));
    [
        fma(four, d[0], fma(minus(five), d[2], d[4])),
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        simd.add_f32s(near_even, near_odd),
        simd.sub_f32s(near_even, near_odd),
        fma(four, d[1], fma(minus(five), d[3], d[5])),
    ]
}

/// `G g G^T` of some kernels of a panel of output channels.
pub(super) struct KernelPanel<'a> {
    /// `[kernels][9][PANEL]`
    pub kernels: &'a [f32],
    /// Of the sum's length, the first kernel's place and the whole.
    pub first: usize,
    pub depth: usize,
    /// `[PLACES][depth][PANEL]`
    pub to: &'a mut [f32],
}

impl WithSimd for KernelPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (i, kernel) in self.kernels.chunks_exact(9 * PANEL).enumerate() {
            for lane in (0..PANEL).step_by(S::F32_LANES) {
                // SAFETY: each tap's row is PANEL long, and a vector divides it.
                let g: [S::f32s; 9] =
                    std::array::from_fn(|tap| unsafe { load::<S>(kernel[tap * PANEL + lane..].as_ptr()) });
                let [left, middle, right]: [[S::f32s; REACH]; 3] =
                    std::array::from_fn(|column| kernel_line(simd, [g[column], g[3 + column], g[6 + column]]));
                for (row, ((left, middle), right)) in left.into_iter().zip(middle).zip(right).enumerate() {
                    let line = kernel_line(simd, [left, middle, right]);
                    for (column, value) in line.into_iter().enumerate() {
                        let place = row * REACH + column;
                        let to = &mut self.to[(place * self.depth + self.first + i) * PANEL + lane..][..S::F32_LANES];
                        // SAFETY: the slice is one vector long.
                        unsafe { store::<S>(to.as_mut_ptr(), value) };
                    }
                }
            }
        }
    }
}

/// `G g` of one line.
#[inline(always)]
fn kernel_line<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; REACH] {
    let splat = |value| simd.splat_f32s(value);
    let outer = simd.mul_f32s(simd.add_f32s(a, c), splat(-1.0 / 6.0));
    let middle = simd.mul_f32s(b, splat(-1.0 / 6.0));
    let far = simd.mul_add_e_f32s(a, splat(1.0 / 24.0), simd.mul_f32s(c, splat(1.0 / 6.0)));
    let far_middle = simd.mul_f32s(b, splat(1.0 / 12.0));
    [
        simd.mul_f32s(a, splat(0.25)),
        simd.add_f32s(outer, middle),
        simd.sub_f32s(outer, middle),
        simd.add_f32s(far, far_middle),
        simd.sub_f32s(far, far_middle),
        c,
    ]
}

/// `A^T m A` of one tile's sums, plus the bias, for all channels.
pub(super) struct OutputTile<'a> {
    /// `[PLACES][channels]`
    pub sums: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub channels: usize,
    /// Of the tile that are inside the output.
    pub rows: usize,
    pub columns: usize,
    /// Pixels of a row of the output.
    pub width: usize,
    /// The tile's first pixel; a row is a pixel.
    pub to: Output,
}

impl WithSimd for OutputTile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.channels;
        for channel in (0..channels).step_by(S::F32_LANES) {
            let count = S::F32_LANES.min(channels - channel);
            let read = |values: &[f32]| simd.partial_load_f32s(&values[channel..channel + count]);
            let bias = self.bias.map_or(simd.splat_f32s(0.0), read);
            let columns: [[S::f32s; TILE]; REACH] = std::array::from_fn(|column| {
                let place = |row| &self.sums[(row * REACH + column) * channels..][..channels];
                output_line(simd, std::array::from_fn(|row| read(place(row))))
            });
            for row in 0..self.rows {
                let line = columns.map(|column| column[row]);
                for (column, value) in output_line(simd, line).into_iter().enumerate().take(self.columns) {
                    // SAFETY: this task alone writes this tile's pixels.
                    let pixel = unsafe { self.to.row(row * self.width + column, channels) };
                    simd.partial_store_f32s(&mut pixel[channel..channel + count], simd.add_f32s(value, bias));
                }
            }
        }
    }
}

/// `A^T m` of one line.
#[inline(always)]
fn output_line<S: Simd>(simd: S, m: [S::f32s; REACH]) -> [S::f32s; TILE] {
    let (sum1, difference1) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (sum2, difference2) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    let fma = |a, b, c| simd.mul_add_e_f32s(simd.splat_f32s(a), b, c);
    [
        simd.add_f32s(simd.add_f32s(m[0], sum1), sum2),
        fma(2.0, difference2, difference1),
        fma(4.0, sum2, sum1),
        simd.add_f32s(fma(8.0, difference2, difference1), m[5]),
    ]
}
