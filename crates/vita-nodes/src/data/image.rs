//! Pictures as they flow along `IMAGE` links.

use rayon::prelude::*;
use vita_graph::NodeError;
use vita_tensor::Tensor;

/// Pictures of one size: `f32` of `[B, H, W, C]` from 0 to 1, contiguous, C 1 to 4. A video is a batch.
#[derive(Clone)]
pub struct Image(Tensor);

/// Most bytes of one batch. Sizes come from workflows, and none that is meant comes near.
const BYTES_MAX: u128 = 1 << 38;

impl Image {
    /// # Panics
    /// If the tensor does not have four axes.
    pub fn new(tensor: Tensor) -> Self {
        let [..]: [usize; 4] = tensor.sizes();
        let is_plain = tensor.is_contiguous() && tensor.try_f32s().is_some();
        Self(if is_plain { tensor } else { tensor.to_contiguous_f32() })
    }

    /// Refuses what no memory holds, before it is asked for.
    ///
    /// # Errors
    /// If the sizes multiply to more than 256 GiB, or one of them is 0.
    pub fn check([count, height, width, channels]: [usize; 4]) -> Result<(), NodeError> {
        let bytes = [count, height, width, channels, 4].iter().map(|&size| size as u128).product::<u128>();
        match bytes {
            0 => Err(NodeError::value(format!("{count} pictures of {width}x{height} pixels are none"))),
            1..=BYTES_MAX => Ok(()),
            _ => Err(NodeError::value(format!("{count} pictures of {width}x{height} pixels do not fit into memory"))),
        }
    }

    /// Pictures from bytes of 0 to 255, `[count, height, width, channels]`.
    pub fn from_bytes(bytes: &[u8], [count, height, width, channels]: [usize; 4]) -> Self {
        let mut tensor = Tensor::scratch([count, height, width, channels]);
        let row = (width * channels).max(1);
        let rows = tensor.f32s_mut().par_chunks_mut(row).zip(bytes.par_chunks(row));
        rows.for_each(|(values, bytes)| {
            values.iter_mut().zip(bytes).for_each(|(value, &byte)| *value = f32::from(byte) / 255.0);
        });
        Self(tensor)
    }

    /// `[B, H, W, C]`.
    pub fn tensor(&self) -> &Tensor {
        &self.0
    }

    /// `[B, H, W, C]`.
    pub fn sizes(&self) -> [usize; 4] {
        self.0.sizes()
    }

    /// Pictures.
    pub fn count(&self) -> usize {
        self.sizes()[0]
    }

    /// Pixels.
    pub fn height(&self) -> usize {
        self.sizes()[1]
    }

    /// Pixels.
    pub fn width(&self) -> usize {
        self.sizes()[2]
    }

    /// 3, or 4 with transparency.
    pub fn channels(&self) -> usize {
        self.sizes()[3]
    }

    /// All values in order.
    pub fn values(&self) -> &[f32] {
        self.0.f32s()
    }

    /// `count` pictures from `start` on, sharing their pixels.
    ///
    /// # Panics
    /// If they are not all there.
    #[must_use]
    pub fn range(&self, start: usize, count: usize) -> Self {
        Self(self.0.narrow(0, start, count))
    }

    /// The first three channels; a single one three times.
    #[must_use]
    pub fn rgb(&self) -> Self {
        match self.channels() {
            3 => self.clone(),
            1 => self.map_pixels(3, |pixel, out| out.fill(pixel[0])),
            channels => self.map_pixels(3, |pixel, out| {
                out[..channels.min(3)].copy_from_slice(&pixel[..channels.min(3)]);
            }),
        }
    }

    /// The same with more channels, which are 1.
    #[must_use]
    pub fn with_channels(&self, channels: usize) -> Self {
        let own = self.channels();
        if own >= channels {
            return self.clone();
        }
        self.map_pixels(channels, |pixel, out| {
            out[..own].copy_from_slice(pixel);
            out[own..].fill(1.0);
        })
    }

    /// Every pixel made anew, with another number of channels. What is not written is 0.
    #[must_use]
    pub fn map_pixels(&self, channels: usize, map: impl Fn(&[f32], &mut [f32]) + Sync) -> Self {
        let [count, height, width, own] = self.sizes();
        let mut tensor = Tensor::zeros([count, height, width, channels]);
        let rows = tensor.f32s_mut().par_chunks_mut((width * channels).max(1));
        rows.zip(self.values().par_chunks((width * own).max(1))).for_each(|(out, pixels)| {
            for (out, pixel) in out.chunks_exact_mut(channels).zip(pixels.chunks_exact(own)) {
                map(pixel, out);
            }
        });
        Self(tensor)
    }

    /// One picture after the other; all of one size.
    ///
    /// # Panics
    /// If there is none, or sizes differ.
    pub fn join(parts: &[Self]) -> Self {
        let [_, height, width, channels] = parts.first().expect("at least one part").sizes();
        assert!(parts.iter().all(|part| part.sizes()[1..] == [height, width, channels]), "parts of one size");
        if let [only] = parts {
            return only.clone();
        }
        let count = parts.iter().map(Self::count).sum();
        let mut tensor = Tensor::scratch([count, height, width, channels]);
        let mut rest = tensor.f32s_mut();
        for part in parts {
            let (here, next) = rest.split_at_mut(part.values().len());
            here.copy_from_slice(part.values());
            rest = next;
        }
        Self(tensor)
    }

    /// A picture's bytes, as ComfyUI makes them: `255 x` clipped to 0..255 and cut to whole numbers.
    /// `[height, width, channels]`.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn bytes(&self, index: usize) -> Vec<u8> {
        let size = self.height() * self.width() * self.channels();
        let values = &self.values()[index * size..(index + 1) * size];
        values.par_iter().with_min_len(1 << 14).map(|&value| (value * 255.0) as u8).collect()
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image{:?}", self.sizes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_cut_and_clipped() {
        let image = Image::new(Tensor::from_vec(vec![-1.0, 0.0, 0.5, 0.999, 1.0, 2.0], [1, 1, 2, 3]));
        assert_eq!(image.bytes(0), [0, 0, 127, 254, 255, 255]);
        assert_eq!(Image::from_bytes(&[0, 51, 255], [1, 1, 1, 3]).values(), [0.0, 0.2, 1.0]);
    }

    #[test]
    fn channels_are_added_and_dropped() {
        let image = Image::new(Tensor::from_vec(vec![0.1, 0.2, 0.3, 0.4], [1, 1, 1, 4]));
        assert_eq!(image.rgb().values(), [0.1, 0.2, 0.3]);
        assert_eq!(image.rgb().with_channels(4).values(), [0.1, 0.2, 0.3, 1.0]);
        assert_eq!(Image::join(&[image.clone(), image.clone()]).sizes(), [2, 1, 1, 4]);
        assert!(Image::check([4096, 16384, 16384, 3]).is_err() && Image::check([1, 0, 2, 3]).is_err());
    }
}
