//! The Wan autoencoders: original and diffusers names, sizes.

use serde::Serialize;

use super::{Builder, Layout};
use crate::naming::{Dialects, Naming, split_index, split_leaf};
use crate::{Result, Weights};

pub static DIALECTS: Dialects = Dialects {
    namings: &[
        // Only 2.2 has one sampler a stage, so only there is its name in the singular.
        Naming { text: "diffusers", is_mark: |key| key.contains(".upsampler."), rename: from_diffusers_22 },
        Naming { text: "diffusers", is_mark: |key| key.contains(".up_blocks."), rename: from_diffusers_21 },
        Naming { text: "original", is_mark: |_| true, rename: str::to_owned },
    ],
    prefixes: &["", "model.", "vae.", "first_stage_model."],
    is_anchor: |name| {
        matches!(
            name,
            "decoder.middle.0.residual.0.gamma"
                | "encoder.middle.0.residual.0.gamma"
                | "decoder.head.0.gamma"
                | "encoder.head.0.gamma"
        )
    },
};

/// Which of the two architectures an autoencoder has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VaeGeneration {
    /// 4 x 8 x 8, of Wan 2.1 and of the A14B models.
    Wan21,
    /// 4 x 16 x 16, of the 5B model.
    Wan22,
}

/// Sizes of an autoencoder, found from its tensors' shapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VaeFacts {
    /// Which architecture.
    pub generation: VaeGeneration,
    /// Channels of the encoder's first stage.
    pub encoder_dim: usize,
    /// Channels of the decoder's last stage.
    pub decoder_dim: usize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels of the first convolution's input: 3, or 12 after 2 x 2 pixels are folded into them.
    pub image_channels: usize,
}

impl VaeFacts {
    /// "Wan 2.1 VAE"; sizes that are not its own are spelled out.
    pub fn system(&self) -> String {
        let Self { encoder_dim, decoder_dim, latent_channels, .. } = self;
        match (self.generation, (*encoder_dim, *decoder_dim), latent_channels) {
            (VaeGeneration::Wan21, (96, 96), 16) => "Wan 2.1 VAE".to_owned(),
            (VaeGeneration::Wan22, (160, 256), 48) => "Wan 2.2 VAE".to_owned(),
            (VaeGeneration::Wan21, (24, _) | (_, 24), 16) => "pruned Wan 2.1 VAE (light)".to_owned(),
            (generation, dims, z) => {
                let family = if generation == VaeGeneration::Wan21 { "2.1" } else { "2.2" };
                format!("Wan {family}-shaped VAE, dim {} and {}, {z} latent channels", dims.0, dims.1)
            }
        }
    }

    /// Canonical names and shapes of all its tensors.
    pub fn layout(&self) -> Layout {
        let z = self.latent_channels;
        let mut build = Builder::default();
        self.encoder(&mut build);
        build.layer("conv1", [2 * z, 2 * z, 1, 1, 1]);
        build.layer("conv2", [z, z, 1, 1, 1]);
        self.decoder(&mut build);
        build.0
    }

    fn encoder(&self, build: &mut Builder) {
        let widths = [1, 1, 2, 4, 4].map(|times| times * self.encoder_dim);
        build.layer("encoder.conv1", [widths[0], self.image_channels, 3, 3, 3]);
        let mut flat_index = 0;
        for stage in 0..4 {
            for step in 0..if stage < 3 { 3 } else { 2 } {
                let name = match self.generation {
                    VaeGeneration::Wan21 => format!("encoder.downsamples.{flat_index}"),
                    VaeGeneration::Wan22 => format!("encoder.downsamples.{stage}.downsamples.{step}"),
                };
                let width = widths[stage + 1];
                match step {
                    0 => residual(build, &name, widths[stage], width),
                    1 => residual(build, &name, width, width),
                    _ => {
                        build.layer(&format!("{name}.resample.1"), [width, width, 3, 3]);
                        if stage > 0 {
                            build.layer(&format!("{name}.time_conv"), [width, width, 3, 1, 1]);
                        }
                    }
                }
                flat_index += 1;
            }
        }
        middle(build, "encoder", widths[4]);
        head(build, "encoder", widths[4], 2 * self.latent_channels);
    }

    fn decoder(&self, build: &mut Builder) {
        let widths = [4, 4, 4, 2, 1].map(|times| times * self.decoder_dim);
        build.layer("decoder.conv1", [widths[0], self.latent_channels, 3, 3, 3]);
        middle(build, "decoder", widths[0]);
        // In 2.1 the convolution after upsampling halves the channels.
        let halved = if self.generation == VaeGeneration::Wan21 { 2 } else { 1 };
        let mut flat_index = 0;
        for stage in 0..4 {
            for step in 0..if stage < 3 { 4 } else { 3 } {
                let name = match self.generation {
                    VaeGeneration::Wan21 => format!("decoder.upsamples.{flat_index}"),
                    VaeGeneration::Wan22 => format!("decoder.upsamples.{stage}.upsamples.{step}"),
                };
                let width = widths[stage + 1];
                let input = if stage > 0 { widths[stage] / halved } else { widths[0] };
                match step {
                    0 => residual(build, &name, input, width),
                    1 | 2 => residual(build, &name, width, width),
                    _ => {
                        build.layer(&format!("{name}.resample.1"), [width / halved, width, 3, 3]);
                        if stage < 2 {
                            build.layer(&format!("{name}.time_conv"), [2 * width, width, 3, 1, 1]);
                        }
                    }
                }
                flat_index += 1;
            }
        }
        head(build, "decoder", widths[4], self.image_channels);
    }
}

/// Finds the sizes.
pub fn facts(weights: &Weights) -> Result<VaeFacts> {
    let [encoder_dim, image_channels, ..] = weights.sizes::<5>("encoder.conv1.weight")?;
    let [decoder_dim, ..] = weights.sizes::<4>("decoder.head.0.gamma")?;
    let [latent_channels, ..] = weights.sizes::<5>("conv2.weight")?;
    let nested = weights.contains("decoder.upsamples.0.upsamples.0.residual.2.weight");
    let generation = if nested { VaeGeneration::Wan22 } else { VaeGeneration::Wan21 };
    Ok(VaeFacts { generation, encoder_dim, decoder_dim, latent_channels, image_channels })
}

fn residual(build: &mut Builder, name: &str, input: usize, output: usize) {
    build.tensor(format!("{name}.residual.0.gamma"), [input, 1, 1, 1]);
    build.layer(&format!("{name}.residual.2"), [output, input, 3, 3, 3]);
    build.tensor(format!("{name}.residual.3.gamma"), [output, 1, 1, 1]);
    build.layer(&format!("{name}.residual.6"), [output, output, 3, 3, 3]);
    if input != output {
        build.layer(&format!("{name}.shortcut"), [output, input, 1, 1, 1]);
    }
}

fn middle(build: &mut Builder, half: &str, width: usize) {
    residual(build, &format!("{half}.middle.0"), width, width);
    build.tensor(format!("{half}.middle.1.norm.gamma"), [width, 1, 1]);
    build.layer(&format!("{half}.middle.1.to_qkv"), [3 * width, width, 1, 1]);
    build.layer(&format!("{half}.middle.1.proj"), [width, width, 1, 1]);
    residual(build, &format!("{half}.middle.2"), width, width);
}

fn head(build: &mut Builder, half: &str, width: usize, output: usize) {
    build.tensor(format!("{half}.head.0.gamma"), [width, 1, 1, 1]);
    build.layer(&format!("{half}.head.2"), [output, width, 3, 3, 3]);
}

fn from_diffusers_21(name: &str) -> String {
    from_diffusers(name, |half, rest| {
        if half == "encoder" {
            let (index, part) = split_index(rest, "down_blocks.")?;
            return Some(format!("encoder.downsamples.{index}.{}", residual_from_diffusers(part)));
        }
        // The original counts residual blocks and samplers in one list: three and one a stage.
        let (stage, part) = split_index(rest, "up_blocks.")?;
        let first = 4 * stage.parse::<usize>().ok().filter(|&stage| stage < 4)?;
        if let Some((index, part)) = split_index(part, "resnets.") {
            let index = first + index.parse::<usize>().ok().filter(|&index| index < 3)?;
            return Some(format!("decoder.upsamples.{index}.{}", residual_from_diffusers(part)));
        }
        let (_, part) = split_index(part, "upsamplers.")?;
        Some(format!("decoder.upsamples.{}.{part}", first + 3))
    })
}

fn from_diffusers_22(name: &str) -> String {
    from_diffusers(name, |half, rest| {
        let (list, stage_list, sampler, sampler_index) = match half {
            "encoder" => ("downsamples", "down_blocks.", "downsampler.", 2),
            _ => ("upsamples", "up_blocks.", "upsampler.", 3),
        };
        let (stage, part) = split_index(rest, stage_list)?;
        let stage = format!("{half}.{list}.{stage}.{list}");
        if let Some((index, part)) = split_index(part, "resnets.") {
            return Some(format!("{stage}.{index}.{}", residual_from_diffusers(part)));
        }
        Some(format!("{stage}.{sampler_index}.{}", part.strip_prefix(sampler)?))
    })
}

/// What both generations share; `stage` renames what is below the lists of stages.
fn from_diffusers(name: &str, stage: impl Fn(&str, &str) -> Option<String>) -> String {
    let renamed = || {
        let (layer, leaf) = split_leaf(name);
        match layer {
            "quant_conv" => return Some(format!("conv1.{leaf}")),
            "post_quant_conv" => return Some(format!("conv2.{leaf}")),
            _ => {}
        }
        let (half, rest) = name.split_once('.').filter(|(half, _)| matches!(*half, "encoder" | "decoder"))?;
        if let Some((index, part)) = split_index(rest, "mid_block.resnets.") {
            let index = 2 * index.parse::<usize>().ok().filter(|&index| index < 2)?;
            return Some(format!("{half}.middle.{index}.{}", residual_from_diffusers(part)));
        }
        if let Some(part) = rest.strip_prefix("mid_block.attentions.0.") {
            return Some(format!("{half}.middle.1.{part}"));
        }
        let layer = match split_leaf(rest).0 {
            "conv_in" => "conv1",
            "norm_out" => "head.0",
            "conv_out" => "head.2",
            _ => return stage(half, rest),
        };
        Some(format!("{half}.{layer}.{leaf}"))
    };
    renamed().unwrap_or_else(|| name.to_owned())
}

fn residual_from_diffusers(part: &str) -> String {
    let (layer, leaf) = split_leaf(part);
    let layer = match layer {
        "norm1" => "residual.0",
        "conv1" => "residual.2",
        "norm2" => "residual.3",
        "conv2" => "residual.6",
        "conv_shortcut" => "shortcut",
        _ => return part.to_owned(),
    };
    format!("{layer}.{leaf}")
}
