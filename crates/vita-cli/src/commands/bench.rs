//! `bench MODULE`: how fast one network runs, in seconds and GFLOP/s, and what memory it takes.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand};
use serde::Serialize;
use vita_base::{Report, bytes_text};
use vita_models::umt5::{self, Umt5};
use vita_models::vae::{self, Decoder, Options};
use vita_models::wan::{HIDDEN_BYTES_MAX, LayoutOptions, Prompt, Wan, Workload};
use vita_tensor::Tensor;
use vita_weights::{Checkpoint, Role, Weights};

use crate::arguments::Shape;
use crate::{machine, terminal};

/// The networks that can be timed.
#[derive(Debug, Subcommand)]
pub enum Module {
    /// One forward pass of the transformer.
    Dit(Arguments),
    /// The text encoder.
    Umt5(Arguments),
    /// Latent to pixels.
    VaeDecode(Arguments),
}

/// Loads the weights once and runs the network on made-up inputs. Threads are as many as processors,
/// or as RAYON_NUM_THREADS says.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The network's checkpoint, `.safetensors`.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Frames, rows and columns of the latent; 5,30,52 is 17 frames of 416x240.
    #[arg(long, value_name = "T,H,W", default_value = "5,30,52")]
    shape: Shape,
    /// Tokens of the prompt, none of them padding.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    tokens: u32,
    /// How often to run.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was measured.
#[derive(Serialize)]
struct Measured {
    /// Of the fastest run.
    seconds_min: f64,
    /// Of the run in the middle.
    seconds_median: f64,
    /// Of the fastest run, in 10^9 floating-point operations a second.
    gflops: f64,
    /// Of the process, mapped weights included; not known on all systems.
    peak_rss_bytes: Option<u64>,
    /// Floating-point operations of one run, counted: two for a multiplication and its addition.
    flops: f64,
    /// Reading and packing the weights.
    load_seconds: f64,
    /// Weights as they are kept in memory.
    weight_bytes: usize,
    /// Every run, in order.
    seconds: Vec<f64>,
}

impl Module {
    /// Times the network and prints the result.
    ///
    /// # Errors
    /// If the checkpoint does not hold the network, or a size does not fit it.
    pub fn run(self) -> Result<(), Report> {
        let (arguments, measured) = match self {
            Self::Dit(arguments) => dit(&arguments).map(|measured| (arguments, measured)),
            Self::Umt5(arguments) => text_encoder(&arguments).map(|measured| (arguments, measured)),
            Self::VaeDecode(arguments) => decoder(&arguments).map(|measured| (arguments, measured)),
        }?;
        if arguments.json { terminal::print_json(&measured) } else { terminal::print(&measured.text()) }
    }
}

fn dit(arguments: &Arguments) -> Result<Measured, Report> {
    let latent = arguments.latent()?;
    let proceed = &mut |_, _| ControlFlow::Continue(());
    let weights = arguments.weights(Role::DiffusionModel)?;
    let (wan, load_seconds) = timed(|| Wan::load(&weights, proceed))?;
    let config = wan.config();
    let rows = made_up(&[arguments.tokens as usize, config.text_dim]);
    let context = wan.context(&Prompt::new(&rows, 0)?, None)?;
    let layout = wan.layout(latent, LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX })?;
    let x = made_up(&[config.in_dim, latent[0], latent[1], latent[2]]);
    let flops = config.flops(&Workload { latent, text_keys: rows.dims()[0], image_keys: 0 });
    let seconds = arguments.time(|| wan.forward(&x, &[500.0], &context, &layout, proceed))?;
    Ok(Measured::new(seconds, flops, load_seconds, wan.size_bytes()))
}

fn text_encoder(arguments: &Arguments) -> Result<Measured, Report> {
    let weights = arguments.weights(Role::TextEncoder)?;
    let (encoder, load_seconds) = timed(|| Umt5::load(&weights))?;
    let tokens = arguments.tokens as usize;
    let ids: Vec<u32> = (0..tokens).map(|index| (index * 7 % encoder.config().vocab_size) as u32).collect();
    let flops = umt5::flops(encoder.config(), tokens);
    let seconds = arguments.time(|| encoder.encode(&ids))?;
    Ok(Measured::new(seconds, flops, load_seconds, encoder.size_bytes()))
}

fn decoder(arguments: &Arguments) -> Result<Measured, Report> {
    let latent = arguments.latent()?;
    let weights = arguments.weights(Role::Vae)?;
    let (decoder, load_seconds) = timed(|| Decoder::load(&weights))?;
    let config = decoder.config();
    let z = made_up(&[config.latent_channels, latent[0], latent[1], latent[2]]);
    let flops = vae::decode_cost(config, latent, Options::WHOLE).flops;
    let seconds = arguments.time(|| decoder.decode(&z, Options::WHOLE))?;
    Ok(Measured::new(seconds, flops, load_seconds, decoder.size_bytes()))
}

impl Arguments {
    fn weights(&self, role: Role) -> Result<Weights, Report> {
        Ok(Checkpoint::open(&self.weights)?.weights(role)?)
    }

    fn latent(&self) -> Result<[usize; 3], Report> {
        let sizes = &self.shape.0;
        <[usize; 3]>::try_from(&sizes[..]).map_err(|_| {
            Report::new(format!("--shape has {} numbers, expected 3", sizes.len()))
                .with_hint("give frames, rows and columns of the latent, such as 5,30,52")
        })
    }

    fn time<T, E: vita_base::Hint>(&self, mut run: impl FnMut() -> Result<T, E>) -> Result<Vec<f64>, Report> {
        (0..self.repeat).map(|_| Ok(timed(&mut run)?.1)).collect()
    }
}

impl Measured {
    fn new(seconds: Vec<f64>, flops: f64, load_seconds: f64, weight_bytes: usize) -> Self {
        let mut sorted = seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let (seconds_min, seconds_median) = (sorted[0], sorted[sorted.len() / 2]);
        let peak_rss_bytes = machine::peak_rss_bytes();
        let gflops = flops / seconds_min / 1e9;
        Self { seconds_min, seconds_median, gflops, peak_rss_bytes, flops, load_seconds, weight_bytes, seconds }
    }

    fn text(&self) -> String {
        let peak = self.peak_rss_bytes.map_or_else(|| "unknown".to_owned(), bytes_text);
        format!(
            "{:.3} s at best, {:.3} s in the middle of {}; {:.1} GFLOP/s; peak memory {peak}; weights {}, loaded in {:.2} s",
            self.seconds_min,
            self.seconds_median,
            self.seconds.len(),
            self.gflops,
            bytes_text(self.weight_bytes as u64),
            self.load_seconds,
        )
    }
}

fn timed<T, E: vita_base::Hint>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, f64), Report> {
    let start = Instant::now();
    let result = work()?;
    Ok((result, start.elapsed().as_secs_f64()))
}

/// Numbers spread evenly over -1.7..1.7, so of deviation 1, in no order that matters.
fn made_up(dims: &[usize]) -> Tensor {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let count = dims.iter().product();
    let values = (0..count).map(|index: usize| ((index as f64 * GOLDEN).fract() * 3.4 - 1.7) as f32);
    Tensor::from_vec(values.collect(), dims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_numbers_have_deviation_one() {
        let values = made_up(&[100, 40]).to_vec();
        let mean = values.iter().sum::<f32>() / 4000.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 4000.0;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn the_median_is_of_the_sorted_runs() {
        let measured = Measured::new(vec![3.0, 1.0, 2.0, 9.0, 8.0], 4e9, 0.0, 0);
        assert_eq!((measured.seconds_min, measured.seconds_median, measured.gflops), (1.0, 3.0, 4.0));
    }
}
