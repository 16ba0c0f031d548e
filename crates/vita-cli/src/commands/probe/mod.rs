//! `probe MODULE`: one module on given inputs, so that anyone can compare it with a reference.

mod clip_vision;
mod dit;
mod files;
mod noise;
mod sample;
mod schedule;
mod sigmas;
mod tokenize;
mod umt5;
mod vae;

use clap::Subcommand;
use vita_base::Report;

/// The modules.
#[derive(Debug, Subcommand)]
pub enum Module {
    ClipVision(clip_vision::Arguments),
    Dit(dit::Arguments),
    Umt5(umt5::Arguments),
    VaeDecode(vae::DecodeArguments),
    VaeEncode(vae::EncodeArguments),
    Noise(noise::Arguments),
    Sample(Box<sample::Arguments>),
    Sigmas(sigmas::Arguments),
    Tokenize(tokenize::Arguments),
}

impl Module {
    /// Runs the module and writes what it gives.
    ///
    /// # Errors
    /// Files or inputs that do not fit the module.
    pub fn run(self) -> Result<(), Report> {
        match self {
            Self::ClipVision(arguments) => clip_vision::run(&arguments),
            Self::Dit(arguments) => dit::run(&arguments),
            Self::Umt5(arguments) => umt5::run(&arguments),
            Self::VaeDecode(arguments) => vae::decode(&arguments),
            Self::VaeEncode(arguments) => vae::encode(&arguments),
            Self::Noise(arguments) => noise::run(&arguments),
            Self::Sample(arguments) => sample::run(&arguments),
            Self::Sigmas(arguments) => sigmas::run(&arguments),
            Self::Tokenize(arguments) => tokenize::run(&arguments),
        }
    }
}
