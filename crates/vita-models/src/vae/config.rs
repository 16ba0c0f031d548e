//! Sizes of the autoencoder, and the lists of blocks that they make.

use vita_weights::Weights;

/// Sizes of the encoder or of the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Channels of each stage, the one at pixel size first.
    pub widths: Vec<usize>,
    /// Whether halving (doubling) the picture between two stages also halves (doubles) the frames;
    /// one fewer than stages.
    pub time_scaled: Vec<bool>,
    /// Residual blocks of a stage of the encoder; the decoder has one more.
    pub residual_blocks: usize,
    /// Channels of a latent.
    pub latent_channels: usize,
    /// Channels of a picture.
    pub image_channels: usize,
}

/// One block of a network, by its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockConfig {
    /// A causal 3 x 3 x 3 convolution.
    Conv {
        /// Channels in.
        inputs: usize,
        /// Channels out.
        outputs: usize,
    },
    /// Norm, SiLU, convolution, twice, added to the (widened) input.
    Residual {
        /// Channels in.
        inputs: usize,
        /// Channels out.
        outputs: usize,
    },
    /// Attention of a frame's pixels to each other, one head.
    Attention {
        /// Channels in and out.
        channels: usize,
    },
    /// Twice the rows and columns, and perhaps frames.
    Up {
        /// Channels in.
        inputs: usize,
        /// Channels out.
        outputs: usize,
        /// Whether frames are doubled too.
        time: bool,
    },
    /// Half the rows and columns, and perhaps frames.
    Down {
        /// Channels in and out.
        channels: usize,
        /// Whether frames are halved too.
        time: bool,
    },
    /// Norm, SiLU, convolution.
    Head {
        /// Channels in.
        inputs: usize,
        /// Channels out.
        outputs: usize,
    },
}

impl Config {
    /// The published autoencoder: 126 892 531 parameters in encoder and decoder.
    /// Source: `WanVAE` of Wan2.1, `wan/modules/vae.py` (`dim=96, dim_mult=[1, 2, 4, 4]`).
    pub fn wan21() -> Self {
        Self::with_base_width(96)
    }

    /// Wan 2.1's shape at another width.
    pub fn with_base_width(dim: usize) -> Self {
        Self {
            widths: [1, 2, 4, 4].map(|multiplier| multiplier * dim).to_vec(),
            time_scaled: vec![false, true, true],
            residual_blocks: 2,
            latent_channels: 16,
            image_channels: 3,
        }
    }

    /// Sizes of the decoder in a file, from its tensors' shapes. A file that makes no sense, or has no
    /// decoder, gets Wan 2.1's shape, which it is then found not to fit.
    pub fn of_decoder(weights: &Weights) -> Self {
        let fallback = axis(weights, "decoder.head.0.gamma", 0).map_or_else(Self::wan21, Self::with_base_width);
        let stages = stages(weights, "decoder.upsamples").filter(|stages| stages.residual_blocks > 1);
        let mut config = match stages {
            Some(Stages { mut widths, mut time_scaled, residual_blocks }) => {
                widths.reverse();
                time_scaled.reverse();
                Self { widths, time_scaled, residual_blocks: residual_blocks - 1, ..fallback }
            }
            None => fallback,
        };
        config.image_channels = axis(weights, "decoder.head.2.weight", 0).unwrap_or(config.image_channels);
        config.latent_channels = axis(weights, "decoder.conv1.weight", 1).unwrap_or(config.latent_channels);
        config
    }

    /// Sizes of the encoder in a file; like [`Config::of_decoder`].
    pub fn of_encoder(weights: &Weights) -> Self {
        let fallback = axis(weights, "encoder.conv1.weight", 0).map_or_else(Self::wan21, Self::with_base_width);
        let mut config = match stages(weights, "encoder.downsamples") {
            Some(Stages { widths, time_scaled, residual_blocks }) => {
                Self { widths, time_scaled, residual_blocks, ..fallback }
            }
            None => fallback,
        };
        config.image_channels = axis(weights, "encoder.conv1.weight", 1).unwrap_or(config.image_channels);
        config.latent_channels =
            axis(weights, "encoder.head.2.weight", 0).map_or(config.latent_channels, |rows| rows.div_ceil(2));
        config
    }

    /// Pixels a side of a latent pixel.
    pub fn spatial_factor(&self) -> usize {
        1 << self.time_scaled.len()
    }

    /// Frames a latent frame, but for the first, which is one.
    pub fn time_factor(&self) -> usize {
        1 << self.time_scaled.iter().filter(|&&time| time).count()
    }

    /// Frames of a clip of so many latent frames.
    pub fn frames(&self, latent_frames: usize) -> usize {
        latent_frames.checked_sub(1).map_or(0, |rest| 1 + rest * self.time_factor())
    }

    /// Latent frames of a clip of so many frames; those that do not fill a latent frame do not count.
    pub fn latent_frames(&self, frames: usize) -> usize {
        frames.checked_sub(1).map_or(0, |rest| 1 + rest / self.time_factor())
    }

    /// The decoder's blocks in order, under the names that they have below `decoder.`.
    pub fn decoder_blocks(&self) -> Vec<(String, BlockConfig)> {
        let deepest = *self.widths.last().expect("a stage");
        let mut blocks =
            vec![("conv1".to_owned(), BlockConfig::Conv { inputs: self.latent_channels, outputs: deepest })];
        blocks.extend(middle(deepest));
        let mut list = Vec::new();
        let mut inputs = deepest;
        for (stage, &outputs) in self.widths.iter().enumerate().rev() {
            for _ in 0..=self.residual_blocks {
                list.push(BlockConfig::Residual { inputs, outputs });
                inputs = outputs;
            }
            if stage > 0 {
                let halved = (inputs / 2).max(1);
                list.push(BlockConfig::Up { inputs, outputs: halved, time: self.time_scaled[stage - 1] });
                inputs = halved;
            }
        }
        blocks.extend(list.into_iter().enumerate().map(|(i, block)| (format!("upsamples.{i}"), block)));
        blocks.push(("head".to_owned(), BlockConfig::Head { inputs, outputs: self.image_channels }));
        blocks
    }

    /// The encoder's blocks in order, under the names that they have below `encoder.`.
    pub fn encoder_blocks(&self) -> Vec<(String, BlockConfig)> {
        let mut inputs = *self.widths.first().expect("a stage");
        let mut blocks = vec![("conv1".to_owned(), BlockConfig::Conv { inputs: self.image_channels, outputs: inputs })];
        let mut list = Vec::new();
        for (stage, &outputs) in self.widths.iter().enumerate() {
            for _ in 0..self.residual_blocks {
                list.push(BlockConfig::Residual { inputs, outputs });
                inputs = outputs;
            }
            if let Some(&time) = self.time_scaled.get(stage) {
                list.push(BlockConfig::Down { channels: outputs, time });
            }
        }
        blocks.extend(list.into_iter().enumerate().map(|(i, block)| (format!("downsamples.{i}"), block)));
        blocks.extend(middle(inputs));
        blocks.push(("head".to_owned(), BlockConfig::Head { inputs, outputs: 2 * self.latent_channels }));
        blocks
    }
}

fn middle(channels: usize) -> [(String, BlockConfig); 3] {
    let residual = BlockConfig::Residual { inputs: channels, outputs: channels };
    let attention = BlockConfig::Attention { channels };
    [("middle.0".to_owned(), residual), ("middle.1".to_owned(), attention), ("middle.2".to_owned(), residual)]
}

/// What a list of blocks tells, in the order of the list.
struct Stages {
    widths: Vec<usize>,
    time_scaled: Vec<bool>,
    /// Of the first stage; the others must be alike.
    residual_blocks: usize,
}

/// Walks a list of residual blocks, with a resampling block between each two stages.
fn stages(weights: &Weights, list: &str) -> Option<Stages> {
    // More stages would make latents of less than a pixel; no file has them.
    const STAGES_MAX: usize = 8;
    let mut stages = Stages { widths: Vec::new(), time_scaled: Vec::new(), residual_blocks: 0 };
    for index in 0..weights.count(list) {
        let block = weights.scope(list).scope(index);
        match axis(&block, "residual.6.weight", 0) {
            Some(width) if stages.widths.len() == stages.time_scaled.len() => stages.widths.push(width),
            Some(_) => {}
            None => stages.time_scaled.push(block.contains("time_conv.weight")),
        }
        stages.residual_blocks += usize::from(stages.time_scaled.is_empty());
    }
    let between = stages.widths.len().checked_sub(1)?;
    (stages.time_scaled.len() == between && between < STAGES_MAX).then_some(stages)
}

/// One size of a tensor that is there and not empty.
fn axis(weights: &Weights, name: &str, axis: usize) -> Option<usize> {
    weights.dims(name)?.get(axis).copied().filter(|&size| size > 0)
}
