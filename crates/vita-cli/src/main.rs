//! The `vitascope` command: flags, logs, progress and exit codes; the work is in the libraries.
//!
//! `cli` lists the commands, `commands/` holds one file each. This crate alone reads the clock, the
//! environment and the system's free memory, and hands them down as arguments. Exit codes: 0 done,
//! 1 an error (told on stderr), 2 a command line that makes no sense, 130 stopped by Ctrl-C.
#![forbid(unsafe_code)]

mod aliases;
mod arguments;
mod changes;
mod cli;
mod commands;
mod cuda;
mod device;
mod disk;
mod folders;
mod logs;
mod machine;
mod made_up;
mod nano;
mod progress;
mod terminal;

use std::process::ExitCode;

use clap::Parser;
use vita_ops::simd::Isa;

fn main() -> ExitCode {
    let cli = cli::Cli::parse_from(commands::serve::with_log_level(std::env::args_os()));
    // The server has its own logs.
    if !matches!(cli.command, cli::Command::Serve(_)) {
        logs::start(cli.verbose);
    }
    tracing::debug!("instruction set: {}", Isa::best());
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            terminal::print_error(&report);
            ExitCode::FAILURE
        }
    }
}
