//! Cutting a picture into overlapping tiles, and putting it together again.

use std::ops::Range;

use vita_tensor::Tensor;

use super::InputError;

/// Squares that a picture is cut into, blended over their overlap.
///
/// The rule is that of ComfyUI's tiled decode: a tile's weight rises from its edges over the overlap
/// in even steps, and a pixel is the weighted mean of the tiles that hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Pixels a side, rounded down to whole latent pixels.
    pub size: usize,
    /// Pixels that neighbours share, rounded down likewise.
    pub overlap: usize,
}

/// One tile of a picture, in latent pixels, or in pixels after [`Area::scaled_up`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// Rows and columns at each edge over which the weight rises.
    pub feather: usize,
}

impl Area {
    /// Rows and columns.
    pub fn size(&self) -> [usize; 2] {
        [self.rows.len(), self.columns.len()]
    }

    /// The same area in units `factor` times smaller.
    pub fn scaled_up(&self, factor: usize) -> Self {
        let scale = |range: &Range<usize>| range.start * factor..range.end * factor;
        Self { rows: scale(&self.rows), columns: scale(&self.columns), feather: self.feather * factor }
    }
}

/// The tiles of a picture of the given rows and columns of latent pixels; `None` if one is enough.
pub fn tiles(tile: Option<Tile>, [height, width]: [usize; 2], factor: usize) -> Result<Option<Vec<Area>>, InputError> {
    let Some(tile) = tile else { return Ok(None) };
    let (size, overlap) = (tile.size / factor, tile.overlap / factor);
    if overlap >= size {
        return Err(InputError::Tile { tile, factor });
    }
    if height <= size && width <= size {
        return Ok(None);
    }
    let all_rows = spans(height, size, overlap);
    let all_columns = spans(width, size, overlap);
    let areas = all_rows.iter().flat_map(|rows| {
        let area = |columns: &Range<usize>| Area { rows: rows.clone(), columns: columns.clone(), feather: overlap };
        all_columns.iter().map(area)
    });
    Ok(Some(areas.collect()))
}

/// Where tiles lie along one axis: each starts `size - overlap` after the one before; the last may be shorter.
fn spans(len: usize, size: usize, overlap: usize) -> Vec<Range<usize>> {
    if len <= size {
        return std::iter::once(0..len).collect();
    }
    (0..len - overlap).step_by(size - overlap).map(|start| start..(start + size).min(len)).collect()
}

/// Where tiles are added up.
pub struct Canvas {
    /// Weighted sum, `[F, H, W, C]`.
    sum: Tensor,
    /// Sum of weights, `[H, W]`.
    weight: Vec<f32>,
    size: [usize; 4],
}

impl Canvas {
    pub fn new(size: [usize; 4]) -> Self {
        Self { sum: Tensor::zeros(size), weight: vec![0.0; size[1] * size[2]], size }
    }

    /// Adds frames of a tile, `[.., rows, columns, C]`, that start at frame `at`.
    pub fn add(&mut self, frames: &Tensor, at: usize, area: &Area) {
        let [_, height, width, channels] = self.size;
        let row_weights = ramp(area.rows.len(), area.feather);
        let column_weights = ramp(area.columns.len(), area.feather);
        let line = area.columns.len() * channels;
        let from = frames.f32s();
        let to = self.sum.f32s_mut();
        for (i, pixels) in from.chunks_exact(line).enumerate() {
            let (frame, row) = (at + i / area.rows.len(), i % area.rows.len());
            let start = ((frame * height + area.rows.start + row) * width + area.columns.start) * channels;
            let pixels = pixels.chunks_exact(channels).zip(&column_weights);
            for (to, (pixel, column_weight)) in to[start..start + line].chunks_exact_mut(channels).zip(pixels) {
                let weight = row_weights[row] * column_weight;
                to.iter_mut().zip(pixel).for_each(|(to, value)| *to += value * weight);
            }
        }
        if at == 0 {
            for (row, row_weight) in area.rows.clone().zip(&row_weights) {
                let to = &mut self.weight[row * width..][area.columns.clone()];
                to.iter_mut().zip(&column_weights).for_each(|(to, weight)| *to += row_weight * weight);
            }
        }
    }

    /// The picture, once all tiles are in.
    pub fn finish(mut self) -> Tensor {
        let [_, height, width, channels] = self.size;
        for frame in self.sum.f32s_mut().chunks_exact_mut(height * width * channels) {
            for (pixel, weight) in frame.chunks_exact_mut(channels).zip(&self.weight) {
                pixel.iter_mut().for_each(|value| *value /= weight);
            }
        }
        self.sum
    }
}

/// Weights along one axis: even steps up to 1 over the feather, at both ends.
fn ramp(len: usize, feather: usize) -> Vec<f32> {
    let mut weights = vec![1.0; len];
    // A tile that is all edge has no inside to rise to.
    if feather < len {
        for i in 0..feather {
            let weight = (i + 1) as f32 / feather as f32;
            weights[i] *= weight;
            weights[len - 1 - i] *= weight;
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_an_axis_and_overlap() {
        for (len, size, overlap, want) in [
            (5, 8, 2, &[(0, 5)][..]),
            (10, 4, 1, &[(0, 4), (3, 7), (6, 10)]),
            (11, 4, 0, &[(0, 4), (4, 8), (8, 11)]),
            (9, 4, 1, &[(0, 4), (3, 7), (6, 9)]),
        ] {
            let got: Vec<_> = spans(len, size, overlap).iter().map(|span| (span.start, span.end)).collect();
            assert_eq!(got, want);
        }
    }

    #[test]
    fn tiles_of_one_picture_put_together_are_that_picture() {
        let size = [2, 9, 7, 3];
        let picture = Tensor::from_vec((0..378).map(|i| (i as f32 * 0.37).sin()).collect(), size);
        let mut canvas = Canvas::new(size);
        for area in tiles(Some(Tile { size: 4, overlap: 2 }), [9, 7], 1).unwrap().unwrap() {
            let part = picture.narrow(1, area.rows.start, area.rows.len());
            let part = part.narrow(2, area.columns.start, area.columns.len()).to_contiguous_f32();
            // Frame by frame, as a stream gives them.
            canvas.add(&part.narrow(0, 0, 1), 0, &area);
            canvas.add(&part.narrow(0, 1, 1), 1, &area);
        }
        for (got, want) in canvas.finish().to_vec().into_iter().zip(picture.to_vec()) {
            assert!((got - want).abs() < 1e-6);
        }
    }

    #[test]
    fn tiles_that_do_not_advance_are_refused() {
        let tile = Tile { size: 64, overlap: 64 };
        assert_eq!(tiles(Some(tile), [30, 52], 8), Err(InputError::Tile { tile, factor: 8 }));
        assert!(tiles(Some(Tile { size: 4, overlap: 0 }), [30, 52], 8).is_err());
        assert_eq!(tiles(Some(Tile { size: 512, overlap: 64 }), [30, 52], 8), Ok(None));
    }
}
