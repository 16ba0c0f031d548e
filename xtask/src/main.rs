//! Repository chores: `cargo run --release -p xtask -- CHORE`.
#![forbid(unsafe_code)]

mod caches;
mod cuda;
mod gpu_check;
mod judge;
mod kernels;
mod kill;
mod program;
mod real_size;
mod serve_load;

use clap::Parser;

/// Repository chores.
#[derive(Parser)]
enum Chore {
    /// Time the ops at the sizes of the real models and print GFLOP/s.
    Kernels(kernels::Arguments),
    /// Make the videos of `assets/nano/eval*.json` and say how many follow their prompts.
    Judge(judge::Arguments),
    /// Say what the step caches and the like save and change on the small model.
    Caches(caches::Arguments),
    /// Compile every kernel for every generation of NVIDIA cards; no card is needed.
    CudaCompile(cuda::compile::Arguments),
    /// Have cuDNN name its engines for every attention, on cards that are described to it; no card is needed.
    CudnnCheck(cuda::cudnn::Arguments),
    /// Check on an NVIDIA card all that the program is held to there, beside PyTorch, and print a table.
    GpuCheck(gpu_check::Arguments),
    /// Kill the server's process at random moments, start it again, and look for what was lost.
    Kill(kill::Arguments),
    /// Run a system of true size, with random weights, and hold it to its memory and its start.
    RealSize(real_size::Arguments),
    /// Measure the server under load, with ComfyUI beside it if there is one.
    ServeLoad(serve_load::Arguments),
}

fn main() -> std::process::ExitCode {
    let result = match Chore::parse() {
        Chore::Kernels(arguments) => {
            kernels::run(&arguments);
            Ok(())
        }
        Chore::Judge(arguments) => judge::run(&arguments),
        Chore::Caches(arguments) => caches::run(&arguments),
        Chore::CudaCompile(arguments) => cuda::compile::run(&arguments),
        Chore::CudnnCheck(arguments) => cuda::cudnn::run(&arguments),
        Chore::GpuCheck(arguments) => gpu_check::run(&arguments),
        Chore::Kill(arguments) => kill::run(&arguments),
        Chore::RealSize(arguments) => real_size::run(&arguments),
        Chore::ServeLoad(arguments) => serve_load::run(&arguments),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(report) => {
            eprintln!("{report}");
            std::process::ExitCode::FAILURE
        }
    }
}
