//! The rate of plain products of bf16 matrices on a card: what all else is measured against.

use clap::Args;
use vita_base::Report;
use vita_cuda::Card;
use vita_cuda::ops::{Float, Format, Linear, Rows, Weight};

use super::measured::{Measured, timed};
use super::random::bf16_bytes;
use crate::cuda::{self, Device};

/// Products that are given before the card is waited for.
const PRODUCTS_A_RUN: usize = 20;

/// Large enough that a card's rate is all that counts.
const SHAPE: [usize; 3] = [8192; 3];

const REPEAT: u32 = 5;

/// Multiplies two random bf16 matrices on a card by whatever is fastest there.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The card.
    #[arg(long, default_value = "cuda", value_name = "DEVICE")]
    device: Device,
    /// Rows of the product, its columns, and the terms of each of its sums.
    #[arg(long, value_name = "M,N,K", default_value = "8192,8192,8192", value_delimiter = ',',
        value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    shape: Vec<u32>,
    /// How often to run 20 products.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Times the products; seconds are of one.
///
/// # Errors
/// If there is no such card, or no room on it.
pub fn measure(arguments: &Arguments) -> Result<Measured, Report> {
    let shape = <[u32; 3]>::try_from(&arguments.shape[..]).map_err(|_| {
        Report::new(format!("--shape has {} numbers, expected 3", arguments.shape.len()))
            .with_hint("give rows, columns and terms, such as 8192,8192,8192")
    })?;
    let shape = shape.map(|size| size as usize);
    let Device::Cuda(index) = arguments.device else {
        return Err(Report::new("this is the rate of a card").with_hint("give --device cuda"));
    };
    let card = cuda::open_card(index, None)?;
    let seconds = seconds(&card, shape, arguments.repeat)?;
    let measured = Measured::new(seconds, flops(shape), 0.0, 2 * shape[1] * shape[2]);
    let rate = measured.gflops;
    Ok(measured.on(Some(&card), rate, 0))
}

/// The card's rate, in 10^9 operations a second.
///
/// # Errors
/// If there is no room on it, or it does not answer.
pub fn gflops(card: &Card) -> Result<f64, Report> {
    let seconds = seconds(card, SHAPE, REPEAT)?;
    Ok(Measured::new(seconds, flops(SHAPE), 0.0, 0).gflops)
}

fn flops([rows, columns, depth]: [usize; 3]) -> f64 {
    2.0 * rows as f64 * columns as f64 * depth as f64
}

/// Of one product, each the mean of some.
fn seconds(card: &Card, [rows, columns, depth]: [usize; 3], repeat: u32) -> Result<Vec<f64>, Report> {
    let pool = card.pool();
    let x = pool.upload(&bf16_bytes(rows * depth, 1))?;
    let weight = pool.upload(&bf16_bytes(columns * depth, 2))?;
    let y = pool.allocate((rows * columns) as u64 * Float::Bf16.bytes())?;
    let call = || {
        let weight = Weight { data: weight.slice(), format: Format::Plain(Float::Bf16), columns, depth };
        let x = Rows::new(x.slice(), Float::Bf16, rows, depth);
        let y = Rows::new(y.slice(), Float::Bf16, rows, columns);
        card.linear(Linear { x, weight, bias: None, scale: 1.0, function: None, y }, None)
    };
    let run = || -> vita_cuda::Result<()> {
        (0..PRODUCTS_A_RUN).try_for_each(|_| call())?;
        card.machine().synchronize()
    };
    run()?;
    (0..repeat).map(|_| Ok(timed(run)?.1 / PRODUCTS_A_RUN as f64)).collect()
}
