//! Convolution over frames, rows and columns of a channels-last video, on the matrix units.

use super::linear::{Product, columns_of_block};
use super::{Float, Format, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Pointer};
use crate::memory::Slice;
use crate::selftest::{Case, Pair, Random};

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Channels of the video, a multiple of 8.
    pub channels: usize,
    /// Channels of the result, an even number.
    pub out_channels: usize,
    /// Frames, rows and columns of the video as it is stored.
    pub video: [usize; 3],
    /// Frames before it that are given.
    pub history: usize,
    /// Frames of zeros before those.
    pub blank: usize,
    /// Frames, rows and columns of the kernel.
    pub kernel: [usize; 3],
    /// Steps in frames, rows and columns.
    pub step: [usize; 3],
    /// Zero rows above and below.
    pub pad_height: [usize; 2],
    /// Zero columns left and right.
    pub pad_width: [usize; 2],
    /// Nearest-exact enlargement of rows and columns on the fly; 1 is none.
    pub enlarge: usize,
}

impl ConvShape {
    /// Frames, rows and columns of the result.
    ///
    /// # Panics
    /// If the kernel is larger than what it walks over.
    pub fn out(&self) -> [usize; 3] {
        let [frames, height, width] = self.video;
        let padded = [
            self.blank + self.history + frames,
            height * self.enlarge + self.pad_height.iter().sum::<usize>(),
            width * self.enlarge + self.pad_width.iter().sum::<usize>(),
        ];
        std::array::from_fn(|axis| {
            assert!(padded[axis] >= self.kernel[axis], "a kernel of {:?} over {padded:?}", self.kernel);
            (padded[axis] - self.kernel[axis]) / self.step[axis] + 1
        })
    }

    /// Elements of a row of the weight.
    pub fn depth(&self) -> usize {
        self.kernel.iter().product::<usize>() * self.channels
    }
}

/// A convolution.
#[derive(Clone, Copy)]
pub struct Conv<'a> {
    /// Its sizes.
    pub shape: ConvShape,
    /// bf16 or f16, of the video and the weight.
    pub float: Float,
    /// `[T, H, W, C]`
    pub video: Slice<'a>,
    /// `[P, H, W, C]`: the last frames of the part before, where there are any.
    pub history: Option<Slice<'a>>,
    /// `[O, kt, kh, kw, C]`
    pub weight: Slice<'a>,
    /// `[O]` of f32.
    pub bias: Option<Slice<'a>>,
    /// `[T', H', W', O]`
    pub y: Slice<'a>,
    /// bf16, f16 or f32.
    pub y_float: Float,
}

/// Each result is the sum over taps and channels of pixels times weights, and the bias. Products of bf16 or f16, sums
/// f32.
///
/// # Panics
/// If the shapes or types do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn conv(machine: &dyn Machine, call: Conv) -> Result<()> {
    let Conv { shape, float, video, history, weight, bias, y, y_float } = call;
    let ConvShape { channels, out_channels, kernel, step, .. } = shape;
    let [frames, height, width] = shape.video;
    let out = shape.out();
    let pixels: usize = out.iter().product();
    assert!(channels.is_multiple_of(8) && out_channels.is_multiple_of(2), "{channels} to {out_channels} channels");
    let frame_bytes = (height * width * channels) as u64 * float.bytes();
    assert!(video.bytes() >= frames as u64 * frame_bytes, "a video of {:?}", shape.video);
    let history_bytes = history.map_or(0, Slice::bytes);
    assert!(history_bytes >= shape.history as u64 * frame_bytes, "{} frames of history", shape.history);
    assert!(weight.bytes() >= (out_channels * shape.depth()) as u64 * float.bytes(), "a weight of {kernel:?}");
    assert!(bias.is_none_or(|bias| bias.bytes() >= 4 * out_channels as u64), "a bias of {out_channels}");
    assert!(y.bytes() >= (pixels * out_channels) as u64 * y_float.bytes(), "a result of {out:?}");
    assert!(pixels < 1 << 31, "{pixels} pixels");
    if pixels == 0 {
        return Ok(());
    }
    let product = product(float, y_float, out_channels, bias.is_some());
    let mut arguments = Arguments::new()
        .with(video.pointer())
        .with(history.unwrap_or(video).pointer())
        .with(weight.pointer())
        .with(bias.map_or(Pointer(0), Slice::pointer))
        .with(y.pointer());
    let [out_frames, out_rows, out_columns] = out;
    for number in [channels, height, width, shape.enlarge, shape.blank, shape.history, frames] {
        arguments = arguments.with(number as u32);
    }
    for number in kernel.into_iter().chain(step) {
        arguments = arguments.with(number as u32);
    }
    for number in [shape.pad_height[0], shape.pad_width[0], out_frames, out_rows, out_columns, out_channels] {
        arguments = arguments.with(number as u32);
    }
    // SAFETY: the arguments are in the kernel's order; all sizes were checked against the slices.
    unsafe { machine.launch(&source(product), product.shape(pixels, out_channels), &arguments) }
}

fn product(float: Float, y: Float, out_channels: usize, bias: bool) -> Product {
    Product { float, format: Format::Plain(float), columns: columns_of_block(out_channels), y, bias, function: None }
}

fn source(product: Product) -> Source {
    let text =
        concat!(include_str!("../widen/blocks.cuh"), include_str!("../linear/product.cuh"), include_str!("kernel.cu"));
    product.define(Source::new("conv", text))
}

pub(super) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for float in [Float::Bf16, Float::F16] {
        for out_channels in [64, 96, 128] {
            let source = source(product(float, Float::F32, out_channels, true));
            all.push(Variant { source, functions: &["conv"], runs_on: everywhere });
        }
    }
    all
}

pub(super) fn cases() -> Vec<Case> {
    let plain = ConvShape {
        channels: 8,
        out_channels: 6,
        video: [1, 1, 1],
        history: 0,
        blank: 0,
        kernel: [1, 1, 1],
        step: [1, 1, 1],
        pad_height: [0, 0],
        pad_width: [0, 0],
        enlarge: 1,
    };
    let causal = ConvShape {
        channels: 24,
        out_channels: 96,
        video: [2, 9, 7],
        history: 1,
        blank: 1,
        kernel: [3, 3, 3],
        pad_height: [1, 1],
        pad_width: [1, 1],
        ..plain
    };
    [
        plain,
        causal,
        ConvShape { history: 2, blank: 0, channels: 96, out_channels: 130, video: [1, 5, 6], ..causal },
        // As the autoencoder halves and doubles pixels and frames.
        ConvShape {
            kernel: [1, 3, 3],
            history: 0,
            blank: 0,
            step: [1, 2, 2],
            pad_height: [0, 1],
            pad_width: [0, 1],
            ..causal
        },
        ConvShape { kernel: [1, 3, 3], history: 0, blank: 0, enlarge: 2, video: [3, 5, 4], ..causal },
        ConvShape {
            kernel: [3, 1, 1],
            step: [2, 1, 1],
            pad_height: [0, 0],
            pad_width: [0, 0],
            video: [5, 4, 6],
            ..causal
        },
        ConvShape { channels: 32, out_channels: 64, video: [3, 12, 13], ..causal },
    ]
    .into_iter()
    .flat_map(|shape| [case(shape, Float::Bf16, Float::Bf16), case(shape, Float::F16, Float::F32)])
    .collect()
}

fn case(shape: ConvShape, float: Float, y_float: Float) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new(shape.depth() as u64);
        let [frames, height, width] = shape.video;
        let frame = height * width * shape.channels;
        let video = bench.random(&mut random, float, frames * frame)?;
        let history = bench.random(&mut random, float, (shape.history * frame).max(8))?;
        let weight = bench.random(&mut random, float, shape.out_channels * shape.depth())?;
        let bias = bench.random(&mut random, Float::F32, shape.out_channels)?;
        let count = shape.out().iter().product::<usize>() * shape.out_channels;
        let output = bench.poisoned(y_float, count)?;
        conv(
            bench.machine(),
            Conv {
                shape,
                float,
                video: video.buffer.slice(),
                history: (shape.history > 0).then(|| history.buffer.slice()),
                weight: weight.buffer.slice(),
                bias: Some(bias.buffer.slice()),
                y: output.slice(),
                y_float,
            },
        )?;
        let want = reference(&shape, &video.values, &history.values, &weight.values, &bias.values);
        Ok(vec![Pair { got: bench.read(&output, y_float)?, want }])
    };
    let ConvShape { channels, out_channels, video, history, blank, kernel, step, enlarge, .. } = shape;
    Case {
        op: "conv",
        title: format!(
            "{channels}->{out_channels} {video:?}+{history}+{blank} by {kernel:?} step {step:?} x{enlarge} {float}->{y_float}"
        ),
        error_max: if y_float == Float::Bf16 { 3e-3 } else { 1e-4 },
        runs_on: everywhere,
        run: Box::new(run),
    }
}

/// The definition, tap by tap in f64.
fn reference(shape: &ConvShape, video: &[f32], history: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f64> {
    let [_, height, width] = shape.video;
    let pixel = |frame: usize, row: usize, column: usize| -> Option<&[f32]> {
        let row = row.checked_sub(shape.pad_height[0]).filter(|&row| row < height * shape.enlarge)? / shape.enlarge;
        let column = column.checked_sub(shape.pad_width[0]).filter(|&c| c < width * shape.enlarge)? / shape.enlarge;
        let frame = frame.checked_sub(shape.blank)?;
        let (frames, frame) = match frame.checked_sub(shape.history) {
            Some(frame) => (video, frame),
            None => (history, frame),
        };
        Some(&frames[((frame * height + row) * width + column) * shape.channels..][..shape.channels])
    };
    let [frames, rows, columns] = shape.out();
    let [kernel_frames, kernel_rows, kernel_columns] = shape.kernel;
    let mut y = Vec::new();
    for frame in 0..frames {
        for row in 0..rows {
            for column in 0..columns {
                for (out, weight) in weight.chunks(shape.depth()).enumerate() {
                    let mut sum = f64::from(bias[out]);
                    for (tap, weight) in weight.chunks(shape.channels).enumerate() {
                        let (a, b, c) = (
                            tap / kernel_columns / kernel_rows,
                            tap / kernel_columns % kernel_rows,
                            tap % kernel_columns,
                        );
                        assert!(a < kernel_frames, "taps");
                        let at = [frame * shape.step[0] + a, row * shape.step[1] + b, column * shape.step[2] + c];
                        let Some(pixel) = pixel(at[0], at[1], at[2]) else { continue };
                        sum += pixel.iter().zip(weight).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum::<f64>();
                    }
                    y.push(sum);
                }
            }
        }
    }
    y
}
