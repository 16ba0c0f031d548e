//! What a clip's way through a network takes, without taking it: arithmetic and memory.

use vita_ops::FOLD_SIDE as SIDE;
use vita_tensor::Tensor;

use super::trace::Trace;
use super::{BlockConfig, Config, Options};

/// What a decode or an encode takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Floating-point operations: two for each multiplication of direct convolutions and attention.
    pub flops: f64,
    /// Bytes of activations at the largest moment; neither weights nor what was handed over before.
    pub peak_bytes: usize,
}

/// Cost of decoding a latent of `[T, h, w]`.
pub fn decode_cost(config: &Config, latent: [usize; 3], options: Options) -> Cost {
    let blocks: Vec<BlockConfig> = config.decoder_blocks().into_iter().map(|(_, block)| block).collect();
    let [frames, height, width] = latent;
    let (factor, channels) = (config.spatial_factor(), config.latent_channels);
    let result = [config.frames(frames), height * factor, width * factor, config.image_channels];
    tiled(options, [height, width], factor, result, |[height, width]| {
        let x = Extent { frames, height, width, channels };
        let mut cost = Trace::run(&blocks, x, true, options.piece_bytes);
        cost.flops += 2.0 * (x.pixels() * channels * channels) as f64; // conv2
        cost
    })
}

/// Cost of encoding a video of `[F, H, W]`, which itself does not count (if its channels come last and its
/// numbers are `f32`; else pieces of it are copied).
pub fn encode_cost(config: &Config, video: [usize; 3], options: Options) -> Cost {
    let blocks: Vec<BlockConfig> = config.encoder_blocks().into_iter().map(|(_, block)| block).collect();
    let [frames, height, width] = video;
    let factor = config.spatial_factor();
    let latent_frames = config.latent_frames(frames);
    let frames = config.frames(latent_frames);
    let result = [latent_frames, height / factor, width / factor, config.latent_channels];
    tiled(options, [height / factor, width / factor], factor, result, |[height, width]| {
        let x = Extent { frames, height: height * factor, width: width * factor, channels: config.image_channels };
        let mut cost = Trace::run(&blocks, x, false, options.piece_bytes);
        // conv1, of which only the rows of the mean are computed.
        cost.flops += 2.0 * (latent_frames * height * width * 2 * config.latent_channels.pow(2)) as f64;
        cost
    })
}

/// Sums up the arithmetic of all tiles, and adds the canvas to the memory of the largest.
fn tiled(
    options: Options,
    size: [usize; 2],
    factor: usize,
    result: [usize; 4],
    cost_of: impl Fn([usize; 2]) -> Cost,
) -> Cost {
    let Ok(Some(tiles)) = super::tile::tiles(options.tile, size, factor) else { return cost_of(size) };
    let none = Cost { flops: 0.0, peak_bytes: 0 };
    let all = tiles.iter().map(|tile| cost_of(tile.size())).fold(none, |all, cost| Cost {
        flops: all.flops + cost.flops,
        peak_bytes: all.peak_bytes.max(cost.peak_bytes),
    });
    Cost { peak_bytes: all.peak_bytes + size_of::<f32>() * result.iter().product::<usize>(), ..all }
}

/// Sizes of a video.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub frames: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Extent {
    pub fn of(x: &Tensor) -> Self {
        let [frames, height, width, channels] = x.sizes();
        Self { frames, height, width, channels }
    }

    pub fn pixels(self) -> usize {
        self.frames * self.height * self.width
    }

    pub fn bytes(self) -> usize {
        self.pixels() * self.channels * size_of::<f32>()
    }
}

/// How many frames may enter block `index` together, for the tensors from there to the next place where
/// frames are parted to stay within `piece_bytes`. At least one.
pub fn frames_at_most(blocks: &[BlockConfig], index: usize, x: Extent, piece_bytes: usize) -> usize {
    if !is_parted_before(blocks, index) {
        return usize::MAX;
    }
    let mut frame = Extent { frames: 1, ..x };
    let mut bytes = 0;
    for (i, block) in blocks.iter().enumerate().skip(index) {
        if i > index && is_parted_before(blocks, i) {
            break;
        }
        frame = block.output_of_one(frame);
        bytes = bytes.max(frame.bytes());
    }
    // A residual block holds three such tensors at a time.
    (piece_bytes / (3 * bytes).max(1)).max(1)
}

/// Frames are parted where a network starts, and before their pictures grow; where a shortcut leads around
/// that, before the shortcut.
fn is_parted_before(blocks: &[BlockConfig], index: usize) -> bool {
    match blocks[index] {
        _ if index == 0 => true,
        BlockConfig::Fork(shortcut) => shortcut.enlarges,
        BlockConfig::Up { .. } => {
            let end = |block: &&BlockConfig| matches!(block, BlockConfig::Fork(_) | BlockConfig::Join);
            !matches!(blocks[..index].iter().rev().find(end), Some(BlockConfig::Fork(_)))
        }
        _ => false,
    }
}

impl BlockConfig {
    /// Floating-point operations of a pass over frames; `first` if they start the clip.
    pub fn flops(&self, x: Extent, first: bool) -> f64 {
        let pixels = x.pixels() as f64;
        let conv = |taps: usize, inputs: usize, outputs: usize| 2.0 * (taps * inputs * outputs) as f64;
        match *self {
            // As good as nothing beside the convolutions.
            Self::Fold | Self::Unfold | Self::Fork(_) | Self::Join => 0.0,
            Self::Conv { inputs, outputs } | Self::Head { inputs, outputs } => pixels * conv(27, inputs, outputs),
            Self::Residual { inputs, outputs } => {
                let shortcut = if inputs == outputs { 0.0 } else { conv(1, inputs, outputs) };
                pixels * (conv(27, inputs, outputs) + conv(27, outputs, outputs) + shortcut)
            }
            Self::Attention { channels } => {
                let products = 4.0 * (x.height * x.width * channels) as f64;
                pixels * (conv(4, channels, channels) + products)
            }
            Self::Up { inputs, outputs, time } => {
                let frame = (x.height * x.width) as f64;
                // The clip's first frame is not doubled.
                let doubled = if time { x.frames.saturating_sub(usize::from(first)) as f64 } else { 0.0 };
                let frames = x.frames as f64 + doubled;
                frame * (doubled * conv(3, inputs, 2 * inputs) + 4.0 * frames * conv(9, inputs, outputs))
            }
            Self::Down { channels, time } => {
                let frame = ((x.height / 2) * (x.width / 2)) as f64;
                let halved = if time { x.frames.saturating_sub(usize::from(first)) as f64 / 2.0 } else { 0.0 };
                frame * (x.frames as f64 * conv(9, channels, channels) + halved * conv(3, channels, channels))
            }
        }
    }

    /// What becomes of one frame in the middle of a clip.
    pub fn output_of_one(&self, x: Extent) -> Extent {
        match *self {
            Self::Conv { outputs, .. } | Self::Residual { outputs, .. } | Self::Head { outputs, .. } => {
                Extent { channels: outputs, ..x }
            }
            Self::Attention { .. } | Self::Fork(_) | Self::Join => x,
            Self::Fold => {
                Extent { height: x.height / SIDE, width: x.width / SIDE, channels: x.channels * SIDE * SIDE, ..x }
            }
            Self::Unfold => {
                Extent { height: x.height * SIDE, width: x.width * SIDE, channels: x.channels / (SIDE * SIDE), ..x }
            }
            Self::Up { outputs, time, .. } => {
                let frames = x.frames << u32::from(time);
                Extent { frames, height: 2 * x.height, width: 2 * x.width, channels: outputs }
            }
            // Frames are not halved: one alone waits for another.
            Self::Down { channels, .. } => Extent { height: x.height / 2, width: x.width / 2, channels, ..x },
        }
    }
}
