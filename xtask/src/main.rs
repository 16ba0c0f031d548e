//! Repository chores: `cargo run --release -p xtask -- CHORE`.
#![forbid(unsafe_code)]

mod kernels;

use clap::Parser;

/// Repository chores.
#[derive(Parser)]
enum Chore {
    /// Time the ops at the sizes of the real models and print GFLOP/s.
    Kernels(kernels::Arguments),
}

fn main() {
    match Chore::parse() {
        Chore::Kernels(arguments) => kernels::run(&arguments),
    }
}
