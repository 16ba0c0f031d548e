//! The blocks of encoder and decoder. Videos are `[T, H, W, C]`; a block takes the next frames of a
//! clip, consumes them, and returns what follows from them.

use std::sync::Arc;

use vita_ops::{
    Activation, AttentionOptions, Card, Conv, ConvOptions, Linear, add, attention, concat_frames, fold, gapless,
    l2_norm, put_rows, room_for_rows, to_f32, unfold, with_doubled_frames,
};
use vita_tensor::{Failure, Tensor};
use vita_weights::{Result, Weights};

use super::BlockConfig;
use super::past::{Past, Slot, Slots};

/// One block of a network.
pub enum Block {
    Fold,
    Unfold,
    Conv(CausalConv),
    Residual(Box<Residual>),
    Attention(Attention),
    Up(Up),
    Down(Down),
    Head(Head),
}

impl Block {
    /// Reads the block's tensors, whose names are relative to `weights`.
    ///
    /// # Panics
    /// If it is no block but one end of a shortcut, which [`super::chain`] keeps.
    pub fn load(weights: &Weights, config: BlockConfig, slots: &mut Slots) -> Result<Self> {
        Ok(match config {
            BlockConfig::Fold => Self::Fold,
            BlockConfig::Unfold => Self::Unfold,
            BlockConfig::Fork(_) | BlockConfig::Join => unreachable!("ends of a shortcut are no blocks"),
            BlockConfig::Conv { inputs, outputs } => {
                // A convolution is itself an entry of its list, so it has no name below it.
                Self::Conv(CausalConv::load(weights, inputs, outputs, slots)?)
            }
            BlockConfig::Residual { inputs, outputs } => {
                Self::Residual(Box::new(Residual::load(weights, inputs, outputs, slots)?))
            }
            BlockConfig::Attention { channels } => Self::Attention(Attention::load(weights, channels)?),
            BlockConfig::Up { inputs, outputs, time } => Self::Up(Up::load(weights, inputs, outputs, time, slots)?),
            BlockConfig::Down { channels, time } => Self::Down(Down::load(weights, channels, time, slots)?),
            BlockConfig::Head { inputs, outputs } => Self::Head(Head::load(weights, inputs, outputs, slots)?),
        })
    }

    /// The frames that follow from the next ones, at least one of them; `None` while a block that halves
    /// time waits for more.
    pub fn forward(&self, x: Tensor, past: &mut Past) -> Option<Tensor> {
        Some(match self {
            Self::Fold => fold(&x),
            Self::Unfold => unfold(&x),
            Self::Conv(conv) => conv.forward(x, past),
            Self::Residual(residual) => residual.forward(x, past),
            Self::Attention(attention) => attention.forward(x),
            Self::Up(up) => up.forward(x, past),
            Self::Down(down) => return down.forward(x, past),
            Self::Head(head) => head.forward(x, past),
        })
    }

    /// The same block with its weights on a card.
    pub fn to_card(&self, card: &Arc<Card>) -> std::result::Result<Self, Failure> {
        Ok(match self {
            Self::Fold => Self::Fold,
            Self::Unfold => Self::Unfold,
            Self::Conv(conv) => Self::Conv(conv.to_card(card)?),
            Self::Residual(residual) => Self::Residual(Box::new(residual.to_card(card)?)),
            Self::Attention(attention) => Self::Attention(attention.to_card(card)?),
            Self::Up(Up { resample, time_conv }) => {
                Self::Up(Up { resample: resample.to_card(card)?, time_conv: time_to_card(time_conv, card)? })
            }
            Self::Down(Down { resample, time_conv }) => {
                Self::Down(Down { resample: resample.to_card(card)?, time_conv: time_to_card(time_conv, card)? })
            }
            Self::Head(Head { norm, conv }) => {
                Self::Head(Head { norm: norm_to_card(norm, card)?, conv: conv.to_card(card)? })
            }
        })
    }

    /// Bytes of the packed weights.
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Fold | Self::Unfold => 0,
            Self::Conv(conv) => conv.conv.size_bytes(),
            Self::Residual(residual) => {
                let shortcut = residual.shortcut.as_ref().map_or(0, Linear::size_bytes);
                residual.conv1.conv.size_bytes() + residual.conv2.conv.size_bytes() + shortcut
            }
            Self::Attention(attention) => attention.to_qkv.size_bytes() + attention.proj.size_bytes(),
            Self::Up(up) => up.resample.size_bytes() + up.time_conv.as_ref().map_or(0, |(conv, _)| conv.size_bytes()),
            Self::Down(down) => {
                down.resample.size_bytes() + down.time_conv.as_ref().map_or(0, |(conv, _)| conv.size_bytes())
            }
            Self::Head(head) => head.conv.conv.size_bytes(),
        }
    }
}

/// A 3 x 3 x 3 convolution that keeps the picture's size and looks two frames back.
pub struct CausalConv {
    conv: Conv,
    slot: Slot,
}

impl CausalConv {
    pub const OPTIONS: ConvOptions =
        ConvOptions { stride: [1; 3], pad_height: [1; 2], pad_width: [1; 2], causal: true, enlarge: 1 };

    fn load(weights: &Weights, inputs: usize, outputs: usize, slots: &mut Slots) -> Result<Self> {
        let conv = conv(weights, &[outputs, inputs, 3, 3, 3], Self::OPTIONS)?;
        Ok(Self { conv, slot: slots.next() })
    }

    /// The same one behind a norm.
    fn of_norm(self) -> Self {
        Self { conv: self.conv.of_bounded(), ..self }
    }

    fn to_card(&self, card: &Arc<Card>) -> std::result::Result<Self, Failure> {
        Ok(Self { conv: self.conv.to_card(card)?, slot: self.slot })
    }

    fn forward(&self, x: Tensor, past: &mut Past) -> Tensor {
        let x = gapless(&x);
        let before = past.take(self.slot);
        let y = self.conv.forward(&x, before.as_ref());
        past.keep(self.slot, before, &x, self.conv.history_frames());
        y
    }
}

/// `conv2(silu(norm2(conv1(silu(norm1(x)))))) + shortcut(x)`.
pub struct Residual {
    norm1: Tensor,            // residual.0, [C]
    conv1: CausalConv,        // residual.2
    norm2: Tensor,            // residual.3, [C']
    conv2: CausalConv,        // residual.6
    shortcut: Option<Linear>, // 1 x 1 x 1, where the channels change
}

impl Residual {
    fn load(weights: &Weights, inputs: usize, outputs: usize, slots: &mut Slots) -> Result<Self> {
        let list = weights.scope("residual");
        Ok(Self {
            norm1: gamma(&list.scope(0), inputs, 3)?,
            conv1: CausalConv::load(&list.scope(2), inputs, outputs, slots)?.of_norm(),
            norm2: gamma(&list.scope(3), outputs, 3)?,
            conv2: CausalConv::load(&list.scope(6), outputs, outputs, slots)?.of_norm(),
            shortcut: match inputs == outputs {
                true => None,
                false => Some(pointwise(&weights.scope("shortcut"), &[outputs, inputs, 1, 1, 1])?),
            },
        })
    }

    fn to_card(&self, card: &Arc<Card>) -> std::result::Result<Self, Failure> {
        let Self { norm1, conv1, norm2, conv2, shortcut } = self;
        Ok(Self {
            norm1: norm_to_card(norm1, card)?,
            conv1: conv1.to_card(card)?,
            norm2: norm_to_card(norm2, card)?,
            conv2: conv2.to_card(card)?,
            shortcut: shortcut.as_ref().map(|shortcut| shortcut.to_card(card)).transpose()?,
        })
    }

    fn forward(&self, x: Tensor, past: &mut Past) -> Tensor {
        let y = l2_norm(&x, &self.norm1, Activation::Silu);
        let y = self.conv1.forward(y, past);
        let y = consume(y, |y| l2_norm(y, &self.norm2, Activation::Silu));
        let y = self.conv2.forward(y, past);
        match &self.shortcut {
            None => add(y, &x),
            Some(shortcut) => add(y, &consume(x, |x| shortcut.forward(x, Activation::None))),
        }
    }
}

/// Attention of a frame's pixels to each other, one head as wide as all channels, added to the input.
pub struct Attention {
    norm: Tensor,   // [C]
    to_qkv: Linear, // [3 C, C]
    proj: Linear,   // [C, C]
}

impl Attention {
    fn load(weights: &Weights, channels: usize) -> Result<Self> {
        Ok(Self {
            norm: gamma(&weights.scope("norm"), channels, 2)?,
            to_qkv: pointwise(&weights.scope("to_qkv"), &[3 * channels, channels, 1, 1])?,
            proj: pointwise(&weights.scope("proj"), &[channels, channels, 1, 1])?,
        })
    }

    fn to_card(&self, card: &Arc<Card>) -> std::result::Result<Self, Failure> {
        let Self { norm, to_qkv, proj } = self;
        Ok(Self { norm: norm_to_card(norm, card)?, to_qkv: to_qkv.to_card(card)?, proj: proj.to_card(card)? })
    }

    fn forward(&self, x: Tensor) -> Tensor {
        let [frames, height, width, channels] = x.sizes();
        let pixels = height * width;
        let y = {
            let mut rows = room_for_rows(&x, frames * pixels);
            for frame in 0..frames {
                let mixed = self.mixed(&x.select(0, frame).reshape([pixels, channels]));
                put_rows(&mut rows, frame * pixels, &mixed);
            }
            rows.reshape(x.dims())
        };
        add(y, &x)
    }

    /// What the pixels of a frame get from each other: `[H W, C]`.
    fn mixed(&self, frame: &Tensor) -> Tensor {
        let [pixels, channels] = frame.sizes();
        let qkv = self.to_qkv.forward(&l2_norm(frame, &self.norm, Activation::None), Activation::None);
        let [q, k, v] = [0, 1, 2].map(|i| qkv.narrow(1, i * channels, channels).reshape([pixels, 1, channels]));
        let scale = 1.0 / (channels as f32).sqrt();
        let mixed = attention(&q, &k, &v, AttentionOptions::scaled(scale));
        self.proj.forward(&mixed.reshape([pixels, channels]), Activation::None)
    }
}

/// Twice the rows and columns; with `time_conv`, each frame but the clip's first becomes two.
pub struct Up {
    resample: Conv, // resample.1, after nearest-exact enlargement, which it does itself
    time_conv: Option<(Conv, Slot)>,
}

impl Up {
    pub const RESAMPLE: ConvOptions =
        ConvOptions { stride: [1; 3], pad_height: [1; 2], pad_width: [1; 2], causal: false, enlarge: 2 };
    pub const TIME: ConvOptions =
        ConvOptions { stride: [1; 3], pad_height: [0; 2], pad_width: [0; 2], causal: true, enlarge: 1 };

    fn load(weights: &Weights, inputs: usize, outputs: usize, time: bool, slots: &mut Slots) -> Result<Self> {
        Ok(Self {
            resample: conv(&weights.scope("resample.1"), &[outputs, inputs, 3, 3], Self::RESAMPLE)?,
            time_conv: match time {
                false => None,
                true => {
                    let conv = conv(&weights.scope("time_conv"), &[2 * inputs, inputs, 3, 1, 1], Self::TIME)?;
                    Some((conv, slots.next()))
                }
            },
        })
    }

    fn forward(&self, x: Tensor, past: &mut Past) -> Tensor {
        let x = match &self.time_conv {
            None => x,
            Some((conv, slot)) => double_frames(conv, *slot, x, past),
        };
        self.resample.forward(&x, None)
    }
}

/// The clip's first frame stays one, and is not among the past that the others see.
fn double_frames(conv: &Conv, slot: Slot, x: Tensor, past: &mut Past) -> Tensor {
    let before = past.take(slot);
    let single = usize::from(before.is_none());
    let first = (single > 0).then(|| x.narrow(0, 0, 1));
    let rest = x.narrow(0, single, x.dims()[0] - single);
    let pairs = match rest.dims()[0] {
        0 => None,
        _ => Some(conv.forward(&rest, before.as_ref())),
    };
    past.keep(slot, before, &rest, conv.history_frames());
    match pairs {
        None => x,
        Some(pairs) => {
            drop((x, rest));
            with_doubled_frames(first.as_ref(), &pairs)
        }
    }
}

/// Half the rows and columns; with `time_conv`, half the frames but the clip's first, which stays.
pub struct Down {
    resample: Conv, // resample.1
    time_conv: Option<(Conv, Slot)>,
}

impl Down {
    pub const RESAMPLE: ConvOptions =
        ConvOptions { stride: [1, 2, 2], pad_height: [0, 1], pad_width: [0, 1], causal: false, enlarge: 1 };
    pub const TIME: ConvOptions =
        ConvOptions { stride: [2, 1, 1], pad_height: [0; 2], pad_width: [0; 2], causal: false, enlarge: 1 };

    fn load(weights: &Weights, channels: usize, time: bool, slots: &mut Slots) -> Result<Self> {
        Ok(Self {
            resample: conv(&weights.scope("resample.1"), &[channels, channels, 3, 3], Self::RESAMPLE)?,
            time_conv: match time {
                false => None,
                true => {
                    let conv = conv(&weights.scope("time_conv"), &[channels, channels, 3, 1, 1], Self::TIME)?;
                    Some((conv, slots.next()))
                }
            },
        })
    }

    fn forward(&self, x: Tensor, past: &mut Past) -> Option<Tensor> {
        let x = consume(x, |x| self.resample.forward(x, None));
        match &self.time_conv {
            None => Some(x),
            Some((conv, slot)) => halve_frames(conv, *slot, x, past),
        }
    }
}

/// Frames 0, then one of each (0, 1, 2), (2, 3, 4), ..: whatever of a triple is there is kept for later.
fn halve_frames(conv: &Conv, slot: Slot, x: Tensor, past: &mut Past) -> Option<Tensor> {
    let before = past.take(slot);
    let starts = before.is_none();
    let known = before.as_ref().map_or(0, |before| before.dims()[0]) + x.dims()[0];
    let triples = halved(known);
    let y = (triples > 0).then(|| conv.forward(&x, before.as_ref()));
    past.keep(slot, before, &x, known - 2 * triples);
    let first = starts.then(|| x.narrow(0, 0, 1));
    match (first, y) {
        (Some(first), Some(y)) => Some(concat_frames(&[&first, &y])),
        (first, y) => first.or(y),
    }
}

/// Triples of frames, a step of two apart, among so many frames.
pub fn halved(frames: usize) -> usize {
    frames.saturating_sub(1) / 2
}

/// `conv(silu(norm(x)))`.
pub struct Head {
    norm: Tensor,     // head.0, [C]
    conv: CausalConv, // head.2
}

impl Head {
    fn load(weights: &Weights, inputs: usize, outputs: usize, slots: &mut Slots) -> Result<Self> {
        let norm = gamma(&weights.scope(0), inputs, 3)?;
        Ok(Self { norm, conv: CausalConv::load(&weights.scope(2), inputs, outputs, slots)?.of_norm() })
    }

    fn forward(&self, x: Tensor, past: &mut Past) -> Tensor {
        self.conv.forward(consume(x, |x| l2_norm(x, &self.norm, Activation::Silu)), past)
    }
}

/// Calls `f` and frees its argument at once: a video is large.
fn consume(x: Tensor, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    f(&x)
}

fn conv(weights: &Weights, dims: &[usize], options: ConvOptions) -> Result<Conv> {
    let (weight, bias) = (weights.get("weight", dims)?, weights.get("bias", &dims[..1])?);
    Ok(Conv::new(&weight, Some(&bias), options))
}

/// A convolution of single pixels is a linear layer of their channels.
pub fn pointwise(weights: &Weights, dims: &[usize]) -> Result<Linear> {
    let (weight, bias) = (weights.get("weight", dims)?, weights.get("bias", &dims[..1])?);
    Ok(Linear::new(&weight.reshape([dims[0], dims[1]]), None, Some(&bias)))
}

/// A norm's factor `[C, 1, ..]` with so many ones, as `[C]` in `f32`.
fn gamma(weights: &Weights, channels: usize, ones: usize) -> Result<Tensor> {
    let dims = [channels, 1, 1, 1];
    Ok(to_f32(&weights.get("gamma", &dims[..=ones])?).reshape([channels]))
}

fn norm_to_card(gamma: &Tensor, card: &Arc<Card>) -> std::result::Result<Tensor, Failure> {
    let gamma = vita_ops::to_card(card, gamma);
    gamma.failure().cloned().map_or(Ok(gamma), Err)
}

fn time_to_card(
    time_conv: &Option<(Conv, Slot)>,
    card: &Arc<Card>,
) -> std::result::Result<Option<(Conv, Slot)>, Failure> {
    time_conv.as_ref().map(|(conv, slot)| Ok((conv.to_card(card)?, *slot))).transpose()
}
