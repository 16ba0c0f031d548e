//! `bench MODULE`: how fast one network runs, in seconds and GFLOP/s, and what memory it takes.

mod matrix;
mod measured;
mod networks;
mod random;
mod sizes;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use vita_base::Report;
use vita_cuda::Card;
use vita_ops::{AttentionMode, Precision};
use vita_weights::{Checkpoint, Layout, Role, Weights};

use crate::arguments::{Bytes, Shape, Size};
use crate::cuda::{self, Device};
use crate::terminal;
use measured::Pace;
use random::Numbers;

/// The networks that can be timed.
#[derive(Debug, Subcommand)]
pub enum Module {
    /// One step of the transformer.
    Dit(Arguments),
    /// The text encoder.
    Umt5(Arguments),
    /// The vision encoder.
    ClipVision(Arguments),
    /// Latent to pixels.
    VaeDecode(Arguments),
    /// Pixels to latent.
    VaeEncode(Arguments),
    /// Plain products of bf16 matrices on a card.
    Matrix(matrix::Arguments),
}

/// Loads the weights once and runs the network on made-up inputs. Threads are as many as processors, or as
/// RAYON_NUM_THREADS says. On a card one run goes before the measured ones, so that its kernels are compiled.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The network's checkpoint, `.safetensors`.
    #[arg(long, value_name = "FILE", required_unless_present = "model")]
    weights: Option<PathBuf>,
    /// Random weights of a true size instead: 1.3b, 14b, i2v-14b, a14b-i2v or 5b of the transformer, xxl of the text
    /// encoder, vit-h of the vision encoder, 2.1 or 2.2 of the autoencoder; tiny of each.
    #[arg(long, value_name = "SIZE", conflicts_with = "weights")]
    model: Option<String>,
    /// How random weights are kept.
    #[arg(long, value_enum, default_value = "bf16", requires = "model")]
    numbers: Numbers,
    /// What random weights are made from.
    #[arg(long, value_name = "N", default_value_t = 7, requires = "model")]
    seed: u64,
    /// Frames, rows and columns of the latent; 5,30,52 is 17 frames of 416x240.
    #[arg(long, value_name = "T,H,W", default_value = "5,30,52")]
    shape: Shape,
    /// The video's size in pixels, instead of the latent's.
    #[arg(long, value_name = "WIDTHxHEIGHT", conflicts_with = "shape", requires = "model")]
    size: Option<Size>,
    /// The video's frames.
    #[arg(long, value_name = "N", default_value_t = 81, requires = "size", value_parser = clap::value_parser!(u32).range(1..))]
    frames: u32,
    /// Tokens of the prompt, none of them padding.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    tokens: u32,
    /// A step of the transformer is two passes, and what guidance makes of them.
    #[arg(long)]
    guidance: bool,
    /// How precisely a card attends in a transformer: bf16, int8, int8-all or fp8.
    #[arg(long, value_name = "MODE", default_value_t = AttentionMode::Bf16, hide_default_value = true)]
    attention: AttentionMode,
    /// Round a transformer's activations to 8 bits where a card multiplies them with weights of e4m3.
    #[arg(long)]
    fp8_products: bool,
    /// What the network works on: `cpu`, `cuda`, or `cuda:1` for the second card.
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: Device,
    /// The most that may be taken of the card's memory [default: what is free].
    #[arg(long, value_name = "SIZE")]
    vram_budget: Option<Bytes>,
    /// Blocks of a transformer that are brought to the card each time they run [default: those that have no room].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    blocks_to_swap: usize,
    /// How often to run.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Run once for each line on stdin, and tell the seconds of each as a line of JSON.
    #[arg(long, hide = true, requires = "json", conflicts_with = "repeat")]
    asked: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A card and its rate of plain products, measured in this call.
struct Site {
    card: Arc<Card>,
    matrix_gflops: f64,
}

impl Module {
    /// Times the network and prints the result.
    ///
    /// # Errors
    /// If the checkpoint does not hold the network, a size does not fit it, or there is no such card.
    pub fn run(self) -> Result<(), Report> {
        let (json, measured) = match self {
            Self::Dit(arguments) => (arguments.json, networks::transformer(&arguments)),
            Self::Umt5(arguments) => (arguments.json, networks::text_encoder(&arguments)),
            Self::ClipVision(arguments) => (arguments.json, networks::vision_encoder(&arguments)),
            Self::VaeDecode(arguments) => (arguments.json, networks::decoder(&arguments)),
            Self::VaeEncode(arguments) => (arguments.json, networks::encoder(&arguments)),
            Self::Matrix(arguments) => (arguments.json, matrix::measure(&arguments)),
        };
        let measured = measured?;
        if json { terminal::print_json(&measured) } else { terminal::print(&measured.text()) }
    }
}

impl Arguments {
    /// Weights of a file, or random ones of a size that `layout` knows by its name.
    fn weights(&self, role: Role, layout: impl Fn(&str) -> Result<Layout, Report>) -> Result<Weights, Report> {
        Ok(match (&self.model, &self.weights) {
            (Some(model), _) => random::checkpoint(model, &layout(model)?, self.numbers, self.seed)?.weights(role)?,
            (None, Some(path)) => Checkpoint::open(path)?.weights(role)?,
            (None, None) => return Err(Report::new("give --weights or --model")),
        })
    }

    /// The card, if it is to be one. Its rate of products is measured while nothing is in its memory.
    fn site(&self) -> Result<Option<Site>, Report> {
        let Device::Cuda(index) = self.device else { return Ok(None) };
        let card = cuda::open_card(index, self.vram_budget())?;
        let matrix_gflops = matrix::gflops(&card)?;
        card.pool().release_idle();
        card.pool().reset_peak();
        Ok(Some(Site { card, matrix_gflops }))
    }

    fn vram_budget(&self) -> Option<u64> {
        self.vram_budget.map(|Bytes(bytes)| bytes)
    }

    /// pixels: of a side of one of the latent's elements, where a model was named.
    fn latent(&self, pixels: Option<usize>) -> Result<[usize; 3], Report> {
        if let (Some(Size { width, height }), Some(pixels)) = (self.size, pixels) {
            let grain = 2 * pixels;
            if width == 0 || height == 0 || !width.is_multiple_of(grain) || !height.is_multiple_of(grain) {
                return Err(Report::new(format!("--size has a side that is no multiple of {grain}"))
                    .with_hint("sides such as 832x480 or 1280x704 are"));
            }
            return Ok([(self.frames as usize - 1) / 4 + 1, height / pixels, width / pixels]);
        }
        let sizes = &self.shape.0;
        <[usize; 3]>::try_from(&sizes[..]).map_err(|_| {
            Report::new(format!("--shape has {} numbers, expected 3", sizes.len()))
                .with_hint("give frames, rows and columns of the latent, such as 5,30,52")
        })
    }

    fn precision(&self) -> Precision {
        Precision { attention: self.attention, fp8_products: self.fp8_products }
    }

    fn pace(&self) -> Pace {
        if self.asked { Pace::Asked } else { Pace::Times(self.repeat) }
    }
}

impl Site {
    fn card(site: Option<&Self>) -> Option<&Arc<Card>> {
        site.map(|site| &site.card)
    }
}
