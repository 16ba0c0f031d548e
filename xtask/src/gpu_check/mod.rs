//! What the program is held to on an NVIDIA card: a table, within ten minutes.
//!
//! The work is `tools/gpu/check.py`'s, so that a machine without Rust can do it too: it takes the program, that folder
//! and Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use vita_base::Report;

/// Where it is.
const SCRIPT: &str = "tools/gpu/check.py";

/// What to check.
#[derive(clap::Args)]
pub struct Arguments {
    /// The program.
    #[arg(long, default_value_os_t = crate::program::beside())]
    binary: PathBuf,
    /// A Python that has PyTorch, diffusers and transformers.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// What else `tools/gpu/check.py` takes, such as `--only 14b` or `--help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    rest: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// If Python cannot be started, or a row of the table is not kept.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let mut command = command(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(SCRIPT).as_path(), arguments);
    let status = command.status().map_err(|error| {
        Report::new(format!("cannot start `{}`: {error}", arguments.python.display()))
            .with_hint("name a Python that has PyTorch with --python")
    })?;
    if status.success() { Ok(()) } else { Err(Report::new("not everything is kept; the table says what")) }
}

fn command(script: &Path, arguments: &Arguments) -> Command {
    let mut command = Command::new(&arguments.python);
    command.arg(script).arg("--binary").arg(&arguments.binary).args(&arguments.rest);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn what_it_does_not_know_is_the_scripts() {
        let line = Line::try_parse_from(["gpu-check", "--binary", "v", "--only", "14b", "5b", "--rehearse"]).unwrap();
        let command = command(Path::new("check.py"), &line.arguments);
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(words, ["check.py", "--binary", "v", "--only", "14b", "5b", "--rehearse"]);
    }
}
