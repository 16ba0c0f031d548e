//! Convolution over frames, rows and columns of a channels-last video.

mod card;
mod direct;
#[cfg(test)]
mod reference;
mod transform;
mod winograd;

use std::sync::Arc;

use vita_cuda::Card;
use vita_tensor::{Bytes, DType, Failure, Tensor};

use crate::card::Site;
use crate::gemm::{Finish, Packed, multiply};
use crate::simd::Isa;
use crate::{Activation, to_f32};

/// How a convolution walks over its video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions {
    /// Steps in frames, rows, columns.
    pub stride: [usize; 3],
    /// Zero rows above and below.
    pub pad_height: [usize; 2],
    /// Zero columns left and right.
    pub pad_width: [usize; 2],
    /// Whether frames of zeros stand before the history, up to `kernel - 1` frames in all.
    pub causal: bool,
    /// Nearest-exact enlargement of the input's rows and columns, never written out; 1 is none.
    pub enlarge: usize,
}

impl Default for ConvOptions {
    /// Steps of one, no padding.
    fn default() -> Self {
        Self { stride: [1; 3], pad_height: [0; 2], pad_width: [0; 2], causal: false, enlarge: 1 }
    }
}

/// A convolution with its weight packed once.
pub struct Conv {
    method: Method,
    bias: Option<Vec<f32>>,
    shape: Shape,
    /// What a card multiplies.
    narrow: DType,
}

enum Method {
    /// Rows of gathered pixels times the weight `[out, taps * in]`.
    Direct(Packed),
    /// 3 x 3 kernels in steps of one.
    Winograd(winograd::Weight),
    /// On a card, with its bias.
    Card(Arc<card::OnCard>),
}

/// What is known of a convolution before its input.
#[derive(Clone, Copy)]
struct Shape {
    in_channels: usize,
    out_channels: usize,
    /// Frames, rows, columns.
    kernel: [usize; 3],
    options: ConvOptions,
}

/// Sizes of one call.
#[derive(Clone, Copy)]
struct Extent {
    /// Frames of history.
    history: usize,
    /// Frames of zeros before the history.
    blank: usize,
    /// Rows and columns after enlargement.
    height: usize,
    width: usize,
    /// Frames, rows, columns of the output.
    out: [usize; 3],
}

impl Conv {
    /// weight: `[out, in, kt, kh, kw]` or, for one frame at a time, `[out, in, kh, kw]`, any float dtype;
    /// bias: `[out]`.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, options: ConvOptions) -> Self {
        let (out_channels, in_channels, kernel) = match *weight.dims() {
            [o, i, kt, kh, kw] => (o, i, [kt, kh, kw]),
            [o, i, kh, kw] => (o, i, [1, kh, kw]),
            _ => panic!("convolution weight {}", weight.dims()),
        };
        let bias = bias.map(|bias| {
            assert_eq!(bias.sizes(), [out_channels], "bias");
            bias.to_vec()
        });
        let shape = Shape { in_channels, out_channels, kernel, options };
        let taps = kernel.iter().product();
        let weight = weight.reshape([out_channels, in_channels, taps]);
        let method = match winograd::suits(&shape) {
            true => Method::Winograd(winograd::Weight::new(&weight, &shape)),
            false => {
                let by_tap = swap_middle_axes(&weight.reshape([out_channels, in_channels, taps, 1]));
                Method::Direct(Packed::new(&by_tap.reshape([out_channels, taps * in_channels])))
            }
        };
        Self { method, bias, shape, narrow: DType::BF16 }
    }

    /// The same convolution of what is known to be small, as a norm's answers are: a card multiplies it as f16, which
    /// has three digits more than bf16 and a far smaller range.
    #[must_use]
    pub fn of_bounded(self) -> Self {
        Self { narrow: DType::F16, ..self }
    }

    /// The same convolution with its weight on a card, as bf16 or f16 ([`Self::of_bounded`]). Its answers there are
    /// f32.
    ///
    /// # Errors
    /// If there is no room, or the card does not answer.
    pub fn to_card(&self, card: &Arc<Card>) -> Result<Self, Failure> {
        let layer = match &self.method {
            Method::Card(layer) => layer.clone(),
            host => Arc::new(card::OnCard::new(card, host, self.bias.as_deref(), self.shape, self.narrow)?),
        };
        Ok(Self { method: Method::Card(layer), bias: None, ..*self })
    }

    /// x: `[T, H, W, in]`; history: `[P, H, W, in]`, the frames before x. Returns `[T', H', W', out]`.
    ///
    /// Time is never padded behind; before, only as [`ConvOptions::causal`] says.
    ///
    /// # Panics
    /// If the shapes do not fit, or more history is given than the kernel reaches back.
    #[must_use]
    pub fn forward(&self, x: &Tensor, history: Option<&Tensor>) -> Tensor {
        self.forward_on(Isa::best(), x, history)
    }

    fn forward_on(&self, isa: Isa, x: &Tensor, history: Option<&Tensor>) -> Tensor {
        let extent = self.shape.extent(x, history);
        if let Method::Card(layer) = &self.method {
            let [frames, height, width] = extent.out;
            let site = Site::of([x].into_iter().chain(history)).or(layer.card());
            let dims = [frames, height, width, self.shape.out_channels];
            let made = site.make(DType::F32, dims, |_| layer.forward(x, history, extent, DType::F32));
            return made.expect("a layer on a card works there");
        }
        let (x, history) = (to_f32(x), history.map(to_f32));
        let [frames, height, width] = extent.out;
        let mut y = Tensor::scratch([frames, height, width, self.shape.out_channels]);
        let input =
            direct::Input { x: x.f32s(), history: history.as_ref().map(Tensor::f32s), extent, shape: self.shape };
        match &self.method {
            Method::Direct(weight) => {
                let finish = Finish { scale: 1.0, bias: self.bias.as_deref(), activation: Activation::None };
                multiply(isa, &input, weight, input.depth_used(weight.depth), finish, y.f32s_mut());
            }
            Method::Winograd(weight) => winograd::conv(isa, weight, self.bias.as_deref(), &input, y.f32s_mut()),
            Method::Card(_) => unreachable!("it is not on a card"),
        }
        y
    }

    /// Frames of earlier input that the kernel reaches back to.
    pub fn history_frames(&self) -> usize {
        self.shape.kernel[0] - 1
    }

    /// Channels of the output.
    pub fn out_channels(&self) -> usize {
        self.shape.out_channels
    }

    /// Bytes that the packed weight takes.
    pub fn size_bytes(&self) -> usize {
        match &self.method {
            Method::Direct(weight) => weight.size_bytes(),
            Method::Winograd(weight) => weight.size_bytes(),
            Method::Card(layer) => layer.size_bytes(),
        }
    }
}

/// Bytes that a call takes beside input and output, with all the history that the kernel reaches back to:
/// weight `[out, in, kt, kh, kw]`; input frames, rows and columns.
pub fn conv_scratch_bytes(weight: [usize; 5], options: ConvOptions, input: [usize; 3]) -> usize {
    let [out_channels, in_channels, kt, kh, kw] = weight;
    let shape = Shape { in_channels, out_channels, kernel: [kt, kh, kw], options };
    match winograd::suits(&shape) {
        true => winograd::scratch_bytes(&shape, input),
        // Packed rows only, a few hundred kilobytes a thread.
        false => 0,
    }
}

impl Shape {
    fn extent(&self, x: &Tensor, history: Option<&Tensor>) -> Extent {
        let [frames, height, width, channels] = x.sizes();
        let history = history.map_or(0, |history| {
            assert_eq!(history.dims()[1..], x.dims()[1..], "history of x {}", x.dims());
            history.dims()[0]
        });
        let reach = self.kernel[0] - 1;
        assert!(channels == self.in_channels && history <= reach, "x {} with {history} frames before", x.dims());
        let ConvOptions { stride, pad_height, pad_width, causal, enlarge } = self.options;
        let blank = if causal { reach - history } else { 0 };
        let (height, width) = (height * enlarge, width * enlarge);
        let sizes =
            [blank + history + frames, height + pad_height[0] + pad_height[1], width + pad_width[0] + pad_width[1]];
        let out =
            std::array::from_fn(|axis| (sizes[axis] + stride[axis]).saturating_sub(self.kernel[axis]) / stride[axis]);
        Extent { history, blank, height, width, out }
    }
}

/// `[n, a, b, c]` to `[n, b, a, c]`, in the dtype it has.
fn swap_middle_axes(weight: &Tensor) -> Tensor {
    let [n, a, b, c] = weight.sizes();
    let run = c * weight.dtype().size_bytes();
    let from = weight.bytes();
    let mut to = Vec::with_capacity(from.len());
    for (outer, j, i) in (0..n * b * a).map(|at| (at / (b * a), at / a % b, at % a)) {
        to.extend_from_slice(&from[((outer * a + i) * b + j) * run..][..run]);
    }
    Tensor::from_bytes(Bytes::from(to), weight.dtype(), &[n, b, a, c]).expect("as many bytes as before")
}

#[cfg(test)]
mod tests {
    use vita_tensor::DType;

    use super::*;
    use crate::testing::{Random, assert_close};

    const SAME: ConvOptions =
        ConvOptions { stride: [1; 3], pad_height: [1; 2], pad_width: [1; 2], causal: true, enlarge: 1 };

    /// Weight `[out, in, kernel]`, input `[T, H, W]`, frames of history.
    fn check(weight: [usize; 5], input: [usize; 3], history: usize, options: ConvOptions, dtype: DType) {
        let mut random = Random::new(weight.iter().chain(&input).sum::<usize>() as u64);
        let [frames, height, width] = input;
        let x = random.tensor(&[frames, height, width, weight[1]]);
        let past = (history > 0).then(|| random.tensor(&[history, height, width, weight[1]]));
        let bias = random.tensor(&[weight[0]]);
        let weight = random.weight(&weight, dtype);
        let want = reference::conv(&x, past.as_ref(), &weight, &bias, options);
        let conv = Conv::new(&weight, Some(&bias), options);
        for isa in Isa::available() {
            let got = conv.forward_on(isa, &x, past.as_ref());
            let what = format!("{isa}, {dtype} {:?} of {input:?} after {history}, {options:?}", weight.dims());
            // Winograd's sums lose about two bits to the definition's.
            assert_close(&got, &want, 5e-6, what);
        }
    }

    #[test]
    fn every_convolution_of_the_autoencoders_matches_the_reference() {
        let plain = ConvOptions::default();
        let down = ConvOptions { stride: [1, 2, 2], pad_height: [0, 1], pad_width: [0, 1], ..plain };
        let up = ConvOptions { pad_height: [1; 2], pad_width: [1; 2], enlarge: 2, ..plain };
        for history in 0..=2 {
            check([5, 3, 3, 3, 3], [1, 4, 5], history, SAME, DType::F32);
            check([33, 16, 3, 3, 3], [2, 5, 7], history, SAME, DType::F32);
            check([8, 24, 3, 1, 1], [3, 2, 3], history, ConvOptions { causal: true, ..plain }, DType::F32);
        }
        check([7, 6, 1, 3, 3], [2, 6, 8], 0, down, DType::F32);
        check([20, 32, 1, 3, 3], [2, 6, 5], 0, down, DType::F32);
        check([7, 6, 1, 3, 3], [2, 3, 4], 0, up, DType::F32);
        check([20, 32, 1, 3, 3], [2, 3, 5], 0, up, DType::F32);
        check([3, 32, 3, 3, 3], [4, 9, 13], 2, SAME, DType::F32);
        check([6, 9, 3, 1, 1], [4, 2, 2], 1, ConvOptions { stride: [2, 1, 1], ..plain }, DType::F32);
        check([4, 12, 1, 1, 1], [2, 3, 3], 0, plain, DType::F32);
        for dtype in [DType::BF16, DType::F16] {
            check([5, 8, 3, 3, 3], [2, 4, 5], 1, SAME, dtype);
            check([34, 32, 3, 3, 3], [2, 4, 5], 1, SAME, dtype);
        }
    }
}
