//! The command line: the commands, and what all of them take.

use clap::{Parser, Subcommand};
use vita_base::Report;

use crate::commands::{bench, convert, devices, generate, inspect, probe, pull, run, selftest, serve};

/// Makes videos from text with the Wan models, in one program.
#[derive(Debug, Parser)]
#[command(name = "vitascope", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Say on stderr what goes on inside.
    ///
    /// VITASCOPE_LOG chooses in detail: a level (error, warn, info, debug, trace), or levels of parts, such
    /// as vita_ops=trace,info.
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Generate(Box<generate::Arguments>),
    Run(Box<run::Arguments>),
    Serve(Box<serve::Arguments>),
    Pull(pull::Arguments),
    Convert(convert::Arguments),
    Inspect(inspect::Arguments),
    Devices(devices::Arguments),
    Selftest(selftest::Arguments),
    /// Run one module on given inputs, to compare it with a reference.
    #[command(subcommand)]
    Probe(probe::Module),
    /// Time one network: seconds, GFLOP/s, memory.
    #[command(subcommand)]
    Bench(bench::Module),
}

impl Command {
    pub fn run(self) -> Result<(), Report> {
        match self {
            Self::Generate(arguments) => generate::run(&arguments),
            Self::Run(arguments) => run::run(&arguments),
            Self::Serve(arguments) => serve::run(&arguments),
            Self::Pull(arguments) => pull::run(&arguments),
            Self::Convert(arguments) => convert::run(&arguments),
            Self::Inspect(arguments) => inspect::run(&arguments),
            Self::Devices(arguments) => devices::run(&arguments),
            Self::Selftest(arguments) => selftest::run(&arguments),
            Self::Probe(module) => module.run(),
            Self::Bench(module) => module.run(),
        }
    }
}
