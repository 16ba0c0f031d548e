//! Sizes of the autoencoder, and the lists of blocks that they make.

use vita_ops::FOLD_SIDE as SIDE;
use vita_weights::{VaeGeneration, Weights};

use super::ShortcutConfig;

/// Sizes of the encoder or of the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which of the two architectures: the later one folds squares of pixels into channels, and has
    /// shortcuts around its stages.
    pub generation: VaeGeneration,
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
    /// Squares of 2 x 2 pixels become pixels of four times the channels.
    Fold,
    /// The way back.
    Unfold,
    /// Here a shortcut around the blocks up to the next [`BlockConfig::Join`] begins.
    Fork(ShortcutConfig),
    /// Here what went the short way is added.
    Join,
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

    /// The published encoder of Wan 2.2's 5B model.
    /// Source: `Wan2_2_VAE` of Wan2.2, `wan/modules/vae2_2.py` (`c_dim=160, dim_mult=[1, 2, 4, 4]`).
    pub fn wan22_encoder() -> Self {
        Self::wan22_with_base_width(160)
    }

    /// The published decoder that belongs to [`Config::wan22_encoder`] (`dec_dim=256`).
    pub fn wan22_decoder() -> Self {
        Self::wan22_with_base_width(256)
    }

    /// Wan 2.2's shape at another width.
    pub fn wan22_with_base_width(dim: usize) -> Self {
        Self { generation: VaeGeneration::Wan22, latent_channels: 48, ..Self::with_base_width(dim) }
    }

    /// Wan 2.1's shape at another width.
    pub fn with_base_width(dim: usize) -> Self {
        Self {
            generation: VaeGeneration::Wan21,
            widths: [1, 2, 4, 4].map(|multiplier| multiplier * dim).to_vec(),
            time_scaled: vec![false, true, true],
            residual_blocks: 2,
            latent_channels: 16,
            image_channels: 3,
        }
    }

    /// Sizes of the decoder in a file, from its tensors' shapes. A file that makes no sense, or has no
    /// decoder, gets the published shape, which it is then found not to fit.
    pub fn of_decoder(weights: &Weights) -> Self {
        const LIST: &str = "decoder.upsamples";
        let generation = generation(weights);
        let fallback = match (generation, axis(weights, "decoder.head.0.gamma", 0)) {
            (VaeGeneration::Wan21, width) => width.map_or_else(Self::wan21, Self::with_base_width),
            (VaeGeneration::Wan22, width) => width.map_or_else(Self::wan22_decoder, Self::wan22_with_base_width),
        };
        let stages = stages(weights, LIST, generation).filter(|stages| stages.residual_blocks > 1);
        let mut config = match stages {
            Some(Stages { mut widths, mut time_scaled, residual_blocks }) => {
                widths.reverse();
                time_scaled.reverse();
                Self { widths, time_scaled, residual_blocks: residual_blocks - 1, ..fallback.clone() }
            }
            None => fallback.clone(),
        };
        if !config.shortcuts_are_possible(Self::decoder_blocks) {
            config = fallback;
        }
        let folded = axis(weights, "decoder.head.2.weight", 0);
        config.image_channels = folded.map_or(config.image_channels, |channels| config.unfolded(channels));
        config.latent_channels = axis(weights, "decoder.conv1.weight", 1).unwrap_or(config.latent_channels);
        config
    }

    /// Sizes of the encoder in a file; like [`Config::of_decoder`].
    pub fn of_encoder(weights: &Weights) -> Self {
        const LIST: &str = "encoder.downsamples";
        let generation = generation(weights);
        let fallback = match (generation, axis(weights, "encoder.conv1.weight", 0)) {
            (VaeGeneration::Wan21, width) => width.map_or_else(Self::wan21, Self::with_base_width),
            (VaeGeneration::Wan22, width) => width.map_or_else(Self::wan22_encoder, Self::wan22_with_base_width),
        };
        let mut config = match stages(weights, LIST, generation) {
            Some(Stages { widths, time_scaled, residual_blocks }) => {
                Self { widths, time_scaled, residual_blocks, ..fallback.clone() }
            }
            None => fallback.clone(),
        };
        if !config.shortcuts_are_possible(Self::encoder_blocks) {
            config = fallback;
        }
        let folded = axis(weights, "encoder.conv1.weight", 1);
        config.image_channels = folded.map_or(config.image_channels, |channels| config.unfolded(channels));
        config.latent_channels =
            axis(weights, "encoder.head.2.weight", 0).map_or(config.latent_channels, |rows| rows.div_ceil(2));
        config
    }

    /// Pixels a side of a latent pixel.
    pub fn spatial_factor(&self) -> usize {
        self.fold() << self.time_scaled.len()
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
        let mut names = Names::new(self.generation, "upsamples");
        let mut inputs = deepest;
        for (stage, &width) in self.widths.iter().enumerate().rev() {
            let time = stage > 0 && self.time_scaled[stage - 1];
            let shortcut =
                ShortcutConfig { inputs, outputs: width, enlarges: true, space: factor(stage > 0), time: factor(time) };
            let shortcut = (self.has_shortcuts() && stage > 0).then_some(shortcut);
            blocks.extend(shortcut.map(|shortcut| (String::new(), BlockConfig::Fork(shortcut))));
            for _ in 0..=self.residual_blocks {
                blocks.push((names.next(), BlockConfig::Residual { inputs, outputs: width }));
                inputs = width;
            }
            if stage > 0 {
                let outputs = match self.generation {
                    VaeGeneration::Wan21 => (inputs / 2).max(1),
                    VaeGeneration::Wan22 => inputs,
                };
                blocks.push((names.next(), BlockConfig::Up { inputs, outputs, time }));
                inputs = outputs;
            }
            blocks.extend(shortcut.map(|_| (String::new(), BlockConfig::Join)));
            names.end_stage();
        }
        blocks.push(("head".to_owned(), BlockConfig::Head { inputs, outputs: self.folded_channels() }));
        blocks.extend((self.fold() > 1).then(|| (String::new(), BlockConfig::Unfold)));
        blocks
    }

    /// The encoder's blocks in order, under the names that they have below `encoder.`.
    pub fn encoder_blocks(&self) -> Vec<(String, BlockConfig)> {
        let mut blocks = Vec::new();
        blocks.extend((self.fold() > 1).then(|| (String::new(), BlockConfig::Fold)));
        let mut inputs = *self.widths.first().expect("a stage");
        blocks.push(("conv1".to_owned(), BlockConfig::Conv { inputs: self.folded_channels(), outputs: inputs }));
        let mut names = Names::new(self.generation, "downsamples");
        for (stage, &width) in self.widths.iter().enumerate() {
            let time = self.time_scaled.get(stage).copied();
            let shortcut = ShortcutConfig {
                inputs,
                outputs: width,
                enlarges: false,
                space: factor(time.is_some()),
                time: factor(time == Some(true)),
            };
            let shortcut = self.has_shortcuts().then_some(shortcut);
            blocks.extend(shortcut.map(|shortcut| (String::new(), BlockConfig::Fork(shortcut))));
            for _ in 0..self.residual_blocks {
                blocks.push((names.next(), BlockConfig::Residual { inputs, outputs: width }));
                inputs = width;
            }
            if let Some(time) = time {
                blocks.push((names.next(), BlockConfig::Down { channels: width, time }));
            }
            blocks.extend(shortcut.map(|_| (String::new(), BlockConfig::Join)));
            names.end_stage();
        }
        blocks.extend(middle(inputs));
        blocks.push(("head".to_owned(), BlockConfig::Head { inputs, outputs: 2 * self.latent_channels }));
        blocks
    }

    /// Whether ways lead around the stages.
    fn has_shortcuts(&self) -> bool {
        self.generation == VaeGeneration::Wan22
    }

    fn shortcuts_are_possible(&self, blocks: fn(&Self) -> Vec<(String, BlockConfig)>) -> bool {
        blocks(self).iter().all(|(_, block)| match block {
            BlockConfig::Fork(shortcut) => shortcut.is_possible(),
            _ => true,
        })
    }

    /// Pixels a side of what the first stage sees as one.
    fn fold(&self) -> usize {
        match self.generation {
            VaeGeneration::Wan21 => 1,
            VaeGeneration::Wan22 => SIDE,
        }
    }

    fn folded_channels(&self) -> usize {
        self.image_channels * self.fold() * self.fold()
    }

    fn unfolded(&self, channels: usize) -> usize {
        (channels / (self.fold() * self.fold())).max(1)
    }
}

/// By what something changes that is halved or doubled, or stays.
fn factor(scaled: bool) -> usize {
    if scaled { 2 } else { 1 }
}

/// Names of a list's blocks: counted through in Wan 2.1, stage by stage in Wan 2.2.
struct Names {
    generation: VaeGeneration,
    list: &'static str,
    stage: usize,
    index: usize,
}

impl Names {
    fn new(generation: VaeGeneration, list: &'static str) -> Self {
        Self { generation, list, stage: 0, index: 0 }
    }

    fn next(&mut self) -> String {
        let &mut Self { generation, list, stage, index } = self;
        self.index += 1;
        match generation {
            VaeGeneration::Wan21 => format!("{list}.{index}"),
            VaeGeneration::Wan22 => format!("{list}.{stage}.{list}.{index}"),
        }
    }

    fn end_stage(&mut self) {
        self.stage += 1;
        if self.generation == VaeGeneration::Wan22 {
            self.index = 0;
        }
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

/// Wan 2.2 nests its lists.
fn generation(weights: &Weights) -> VaeGeneration {
    let nested = ["decoder.upsamples.0.upsamples", "encoder.downsamples.0.downsamples"];
    match nested.iter().any(|list| weights.count(list) > 0) {
        true => VaeGeneration::Wan22,
        false => VaeGeneration::Wan21,
    }
}

/// Walks a list of residual blocks, with a resampling block between each two stages.
fn stages(weights: &Weights, list: &str, generation: VaeGeneration) -> Option<Stages> {
    // More stages would make latents of less than a pixel; no file has them.
    const STAGES_MAX: usize = 8;
    let below = |weights: &Weights, list: &str| {
        (0..weights.count(list)).map(|index| weights.scope(list).scope(index)).collect::<Vec<_>>()
    };
    let blocks: Vec<Weights> = match generation {
        VaeGeneration::Wan21 => below(weights, list),
        VaeGeneration::Wan22 => {
            let inner = list.rsplit('.').next().unwrap_or(list);
            below(weights, list).iter().flat_map(|stage| below(stage, inner)).collect()
        }
    };
    let mut stages = Stages { widths: Vec::new(), time_scaled: Vec::new(), residual_blocks: 0 };
    for block in &blocks {
        match axis(block, "residual.6.weight", 0) {
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
