//! Means over blocks of a video's pixels, and copies of a pixel to a block: the ways around a stage of the Wan 2.2
//! autoencoder (`AvgDown3D`, `DupUp3D`). Their definitions are in the tests of what uses them.

mod card;

use rayon::prelude::*;
use vita_tensor::Tensor;

use crate::card::Site;
use crate::to_f32;

/// A large video and a small one that has a pixel for each block of pixels of the large one. The values of a block, in
/// the order (channel, frame, row, column), belong in equal groups to the channels of the small pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelGroups {
    /// Channels of the large video.
    pub large: usize,
    /// Channels of the small video.
    pub small: usize,
    /// Rows and columns of a block.
    pub space: usize,
    /// Frames of a block.
    pub time: usize,
}

impl PixelGroups {
    /// Means of `count` blocks of frames, the first of which lacks its first `blank` ones: these count as zeros.
    /// large: `[T, H, W, large]`. Returns `[count, H / space, W / space, small]`.
    ///
    /// # Panics
    /// If there are too few frames, or channels cannot be shared out.
    #[must_use]
    pub fn mean(self, large: &Tensor, blank: usize, count: usize) -> Tensor {
        let Self { large: inputs, small: outputs, space, time } = self;
        let [_, height, width, _] = large.sizes();
        let [rows, columns] = [height / space, width / space];
        let (parts, group) = (self.parts(), inputs * self.parts() / outputs);
        let dims = [count, rows, columns, outputs];
        if let Some(mean) =
            Site::of([large]).make(large.dtype(), dims, |card| card::mean(card, self, large, blank, dims))
        {
            return mean;
        }
        let x = to_f32(large);
        let values = x.f32s();
        let mut y = Tensor::zeros(dims);
        y.f32s_mut().par_chunks_mut(columns * outputs).enumerate().for_each(|(line, to)| {
            let (frame, row) = (line / rows, line % rows);
            for part in 0..parts {
                let (t, r, c) = (part / (space * space), part / space % space, part % space);
                let Some(from_frame) = (frame * time + t).checked_sub(blank) else { continue };
                let from_line = &values[(from_frame * height + row * space + r) * width * inputs..][..width * inputs];
                let pixels = from_line.chunks_exact(inputs).skip(c).step_by(space);
                for (to, pixel) in to.chunks_exact_mut(outputs).zip(pixels) {
                    // Value `channel * parts + part` of a pixel's is of output `that / group`.
                    for (channel, value) in pixel.iter().enumerate() {
                        to[(channel * parts + part) / group] += value;
                    }
                }
            }
            to.iter_mut().for_each(|sum| *sum /= group as f32);
        });
        y
    }

    /// Adds to each value of the large video the one of the small video whose group it is in; of the first block the
    /// first `skipped` frames are not there. large: `[T, H, W, large]`, small: `[t, H / space, W / space, small]`.
    ///
    /// # Panics
    /// If there are too few frames, or channels cannot be shared out.
    #[must_use]
    pub fn add_copies(self, large: Tensor, small: &Tensor, skipped: usize) -> Tensor {
        let Self { large: outputs, small: inputs, space, time } = self;
        let [_, height, width, _] = large.sizes();
        let (parts, repeats) = (self.parts(), outputs * self.parts() / inputs);
        let (site, dtype, dims) = (Site::of([&large, small]), large.dtype(), large.dims());
        if !matches!(site, Site::Host) {
            let sum = site.make(dtype, dims, |card| card::add_copies(card, self, large, small, skipped));
            return sum.expect("not on the host");
        }
        let mut y = large;
        let x = to_f32(small);
        let values = x.f32s();
        let from_width = width / space;
        y.f32s_mut().par_chunks_mut(width * outputs).enumerate().for_each(|(line, to)| {
            let (frame, row) = (line / height + skipped, line % height);
            let from_line = (frame / time) * (height / space) + row / space;
            let from = &values[from_line * from_width * inputs..][..from_width * inputs];
            for (column, to) in to.chunks_exact_mut(outputs).enumerate() {
                let pixel = &from[column / space * inputs..][..inputs];
                let part = (frame % time * space + row % space) * space + column % space;
                for (channel, value) in to.iter_mut().enumerate() {
                    *value += pixel[(channel * parts + part) / repeats];
                }
            }
        });
        y
    }

    /// Pixels of a block.
    pub fn parts(self) -> usize {
        self.time * self.space * self.space
    }
}
