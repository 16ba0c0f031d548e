//! A convolution on a card: its weight there as bf16 or f16, channels filled up to what the kernel takes.

use std::sync::Arc;

use half::{bf16, f16};
use rayon::prelude::*;
use vita_cuda::Card;
use vita_cuda::memory::Buffer;
use vita_cuda::ops::{Conv as Call, ConvShape, conv};
use vita_tensor::{Bytes, DType, Failure, Tensor};

use super::{ConvOptions, Extent, Method, Shape};
use crate::card::{empty, failed, float, slice};
use crate::copies::{cut, padded};
use crate::to_f32;

/// Weight and bias on a card.
pub struct OnCard {
    card: Arc<Card>,
    /// `[out', kt, kh, kw, in']`, with zeros where channels were added.
    weight: Buffer,
    bias: Option<Buffer>,
    shape: Shape,
    /// `in'` and `out'`
    channels: usize,
    out_channels: usize,
    /// bf16 or f16, of the weight and of what it is multiplied with.
    dtype: DType,
}

impl OnCard {
    pub fn new(
        card: &Arc<Card>,
        method: &Method,
        bias: Option<&[f32]>,
        shape: Shape,
        dtype: DType,
    ) -> Result<Self, Failure> {
        let (channels, out_channels) = (shape.in_channels.next_multiple_of(8), shape.out_channels.next_multiple_of(2));
        let upload = |bytes: &[u8]| card.pool().upload(bytes).map_err(failed);
        let weight = match dtype {
            DType::F16 => {
                upload(bytemuck::cast_slice(&arranged(method, &shape, [channels, out_channels], f16::from_f32)))
            }
            _ => upload(bytemuck::cast_slice(&arranged(method, &shape, [channels, out_channels], bf16::from_f32))),
        };
        let bias = bias.map(|bias| {
            let mut bias = bias.to_vec();
            bias.resize(out_channels, 0.0);
            upload(bytemuck::cast_slice(&bias))
        });
        Ok(Self { card: card.clone(), weight: weight?, bias: bias.transpose()?, shape, channels, out_channels, dtype })
    }

    pub fn card(&self) -> &Arc<Card> {
        &self.card
    }

    pub fn size_bytes(&self) -> usize {
        (self.weight.bytes() + self.bias.as_ref().map_or(0, Buffer::bytes)) as usize
    }

    /// x: `[T, H, W, in]`, history: `[P, H, W, in]`, of any type, anywhere. Returns `[T', H', W', out]` of `dtype`.
    pub fn forward(
        &self,
        x: &Tensor,
        history: Option<&Tensor>,
        extent: Extent,
        dtype: DType,
    ) -> Result<Tensor, Failure> {
        let card = &self.card;
        let [frames, height, width] = extent.out;
        let y = empty(card, dtype, [frames, height, width, self.out_channels])?;
        if y.element_count() == 0 {
            return cut(card, y, self.shape.out_channels);
        }
        let brought = |video: &Tensor| padded(card, video, self.channels, self.dtype);
        let history = history.filter(|history| history.dims()[0] > 0).map(brought).transpose()?;
        let [frames, height, width, _] = x.sizes();
        let x = brought(x)?;
        let ConvOptions { stride, pad_height, pad_width, enlarge, .. } = self.shape.options;
        let shape = ConvShape {
            channels: self.channels,
            out_channels: self.out_channels,
            video: [frames, height, width],
            history: extent.history,
            blank: extent.blank,
            kernel: self.shape.kernel,
            step: stride,
            pad_height,
            pad_width,
            enlarge,
        };
        debug_assert_eq!(shape.out(), extent.out);
        let call = Call {
            shape,
            float: float(self.dtype),
            video: slice(&x),
            history: history.as_ref().map(slice),
            weight: self.weight.slice(),
            bias: self.bias.as_ref().map(Buffer::slice),
            y: slice(&y),
            y_float: float(dtype),
        };
        conv(card.machine(), call).map_err(failed)?;
        cut(card, y, self.shape.out_channels)
    }
}

/// The weight as the kernel walks it.
fn arranged<T: Default + Copy + Send>(
    method: &Method,
    shape: &Shape,
    [channels, out_channels]: [usize; 2],
    narrowed: impl Fn(f32) -> T + Sync,
) -> Vec<T> {
    let taps: usize = shape.kernel.iter().product();
    let row = taps * shape.in_channels;
    // Where a row has the value of a tap and a channel.
    let (packed, in_frame) = match method {
        Method::Direct(packed) => (packed, None),
        Method::Winograd(weight) => (weight.packed(), Some(shape.kernel[1] * shape.kernel[2])),
        Method::Card(_) => unreachable!("a weight is brought from the host"),
    };
    let place = |tap: usize, channel: usize| match in_frame {
        None => tap * shape.in_channels + channel,
        Some(places) => (tap / places * shape.in_channels + channel) * places + tap % places,
    };
    let (dtype, bytes) = packed.stored();
    let stored = Tensor::from_bytes(Bytes::from(bytes.into_owned()), dtype, &[shape.out_channels, row]);
    let stored = to_f32(&stored.expect("as many bytes as values"));
    let mut arranged = vec![T::default(); out_channels * taps * channels];
    arranged.par_chunks_mut(taps * channels).zip(stored.f32s().par_chunks(row)).for_each(|(to, from)| {
        for (tap, to) in to.chunks_exact_mut(channels).enumerate() {
            for (channel, to) in to[..shape.in_channels].iter_mut().enumerate() {
                *to = narrowed(from[place(tap, channel)]);
            }
        }
    });
    arranged
}
