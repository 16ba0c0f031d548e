//! Masks as they flow along `MASK` links.

use vita_tensor::Tensor;

use super::Image;

/// Masks of one size: `f32` of `[B, H, W]` from 0 to 1, contiguous.
#[derive(Clone)]
pub struct Mask(Tensor);

impl Mask {
    /// # Panics
    /// If the tensor does not have three axes.
    pub fn new(tensor: Tensor) -> Self {
        let [..]: [usize; 3] = tensor.sizes();
        let is_plain = tensor.is_contiguous() && tensor.try_f32s().is_some();
        Self(if is_plain { tensor } else { tensor.to_contiguous_f32() })
    }

    /// `[B, H, W]`.
    pub fn tensor(&self) -> &Tensor {
        &self.0
    }

    /// `[B, H, W]`.
    pub fn sizes(&self) -> [usize; 3] {
        self.0.sizes()
    }

    /// All values in order.
    pub fn values(&self) -> &[f32] {
        self.0.f32s()
    }

    /// Every value made anew.
    #[must_use]
    pub fn map(&self, map: impl Fn(f32) -> f32) -> Self {
        Self(Tensor::from_vec(self.values().iter().map(|&value| map(value)).collect(), self.0.dims()))
    }

    /// As pictures of one channel, sharing the values.
    pub fn to_image(&self) -> Image {
        let [count, height, width] = self.sizes();
        Image::new(self.0.reshape([count, height, width, 1]))
    }

    /// One channel of pictures.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn of_channel(image: &Image, channel: usize) -> Self {
        Self::new(image.tensor().select(3, channel))
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask{:?}", self.sizes())
    }
}
