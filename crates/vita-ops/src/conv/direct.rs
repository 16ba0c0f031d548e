//! Convolution as a matrix product: each output pixel's row is gathered from the taps, a block at a time.

use std::ops::Range;

use super::{Extent, Shape};
use crate::gemm::{BLOCK, RowSource};

/// A call's input, seen as rows of `kt * kh * kw * channels` values.
pub(super) struct Input<'a> {
    pub x: &'a [f32],
    pub history: Option<&'a [f32]>,
    pub extent: Extent,
    pub shape: Shape,
}

impl Input<'_> {
    /// One frame `[H, W, C]` of blank, history and input together; `None` where it is blank.
    pub fn frame(&self, index: usize) -> Option<&[f32]> {
        let enlarge = self.shape.options.enlarge;
        let size = self.extent.height / enlarge * (self.extent.width / enlarge) * self.shape.in_channels;
        let index = index.checked_sub(self.extent.blank)?;
        match index.checked_sub(self.extent.history) {
            Some(index) => Some(&self.x[index * size..][..size]),
            None => self.history.map(|history| &history[index * size..][..size]),
        }
    }

    /// The part of a row that is not zeros in every row: the kernel's first frames may meet blank ones only.
    pub fn depth_used(&self, depth: usize) -> Range<usize> {
        let [kt, kh, kw] = self.shape.kernel;
        let last_start = (self.extent.out[0].saturating_sub(1)) * self.shape.options.stride[0];
        let blank_taps = self.extent.blank.saturating_sub(last_start).min(kt - 1);
        let start = blank_taps * kh * kw * self.shape.in_channels;
        start / BLOCK * BLOCK..depth
    }

    /// The pixel under a tap of an output pixel; `None` in the padding.
    fn pixel(&self, [t, h, w]: [usize; 3], tap: usize) -> Option<&[f32]> {
        let [_, kh, kw] = self.shape.kernel;
        let options = &self.shape.options;
        let frame = self.frame(t * options.stride[0] + tap / (kh * kw))?;
        let (row, column) = (h * options.stride[1] + tap / kw % kh, w * options.stride[2] + tap % kw);
        let start = self.pixel_offset(row, column)?;
        Some(&frame[start..start + self.shape.in_channels])
    }

    /// Where a pixel's channels start in its frame; `None` in the padding. Rows and columns count from the
    /// padding's edge, after enlargement.
    #[inline(always)]
    pub fn pixel_offset(&self, row: usize, column: usize) -> Option<usize> {
        let options = &self.shape.options;
        let row = row.checked_sub(options.pad_height[0])?;
        let column = column.checked_sub(options.pad_width[0])?;
        if row >= self.extent.height || column >= self.extent.width {
            return None;
        }
        let (row, column) = (row / options.enlarge, column / options.enlarge);
        Some((row * (self.extent.width / options.enlarge) + column) * self.shape.in_channels)
    }
}

impl RowSource for Input<'_> {
    fn count(&self) -> usize {
        self.extent.out.iter().product()
    }

    fn pack(&self, rows: Range<usize>, depth: Range<usize>, out: &mut [f32]) {
        let channels = self.shape.in_channels;
        let taps: usize = self.shape.kernel.iter().product();
        let [_, height, width] = self.extent.out;
        let count = rows.len();
        for (i, row) in rows.enumerate() {
            let place = [row / (height * width), row / width % height, row % width];
            let mut k = depth.start;
            while k < depth.end {
                let (tap, channel) = (k / channels, k % channels);
                // Up to the tap's end, or all the rest once the taps have ended.
                let end = if tap < taps { ((tap + 1) * channels).min(depth.end) } else { depth.end };
                let pixel = if tap < taps { self.pixel(place, tap) } else { None };
                copy_blocked(pixel.map(|pixel| &pixel[channel..]), k - depth.start..end - depth.start, (i, count), out);
                k = end;
            }
        }
    }
}

/// Writes values (or zeros) to places `range` of row `i` of `count` in the blocked layout.
fn copy_blocked(values: Option<&[f32]>, range: Range<usize>, (i, count): (usize, usize), out: &mut [f32]) {
    let mut k = range.start;
    while k < range.end {
        let len = (BLOCK - k % BLOCK).min(range.end - k);
        let to = &mut out[(k / BLOCK * count + i) * BLOCK + k % BLOCK..][..len];
        match values {
            Some(values) => to.copy_from_slice(&values[k - range.start..][..len]),
            None => to.fill(0.0),
        }
        k += len;
    }
}
