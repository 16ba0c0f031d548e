//! `probe MODULE`: one module on given inputs, so that anyone can compare it with a reference.

mod dit;
mod files;
mod tokenize;
mod umt5;
mod vae;

use clap::Subcommand;
use vita_base::Report;

/// The modules.
#[derive(Debug, Subcommand)]
pub enum Module {
    Dit(dit::Arguments),
    Umt5(umt5::Arguments),
    VaeDecode(vae::DecodeArguments),
    VaeEncode(vae::EncodeArguments),
    Tokenize(tokenize::Arguments),
}

impl Module {
    /// Runs the module and writes what it gives.
    ///
    /// # Errors
    /// Files or inputs that do not fit the module.
    pub fn run(self) -> Result<(), Report> {
        match self {
            Self::Dit(arguments) => dit::run(&arguments),
            Self::Umt5(arguments) => umt5::run(&arguments),
            Self::VaeDecode(arguments) => vae::decode(&arguments),
            Self::VaeEncode(arguments) => vae::encode(&arguments),
            Self::Tokenize(arguments) => tokenize::run(&arguments),
        }
    }
}
