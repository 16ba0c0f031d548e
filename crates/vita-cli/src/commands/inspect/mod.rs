//! `inspect FILE`: what a checkpoint is, or what made a video.

mod checkpoint;
mod values;
mod video;

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use vita_base::Report;
use vita_weights::{Checkpoint, ErrorKind, Looks};

use crate::terminal;

/// Say what a file is: a checkpoint's network, sizes, types and problems; how a video was made.
///
/// Reads only a checkpoint's header, unless --values is given, so it takes no time however large
/// the file is.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Checkpoints (`.safetensors`), or videos made by this program (MP4, WebP, PNG).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// List every tensor with its type and shape.
    #[arg(long)]
    tensors: bool,
    /// Read every value, and tell which tensors hold some that are infinite or not numbers.
    #[arg(long)]
    values: bool,
    /// Print JSON: an object for one file, an array for several.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Serialize)]
#[serde(untagged)]
enum Inspected {
    Checkpoint(checkpoint::Inspected),
    Video(video::Inspected),
}

/// Prints what the files are.
///
/// # Errors
/// The first file that is neither.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let files = arguments.files.iter().map(|file| inspect(file, arguments));
    let files: Vec<Inspected> = files.collect::<Result<_, Report>>()?;
    match (arguments.json, &files[..]) {
        (true, [one]) => terminal::print_json(one),
        (true, several) => terminal::print_json(&several),
        (false, files) => terminal::print(&files.iter().map(Inspected::text).collect::<Vec<_>>().join("\n\n")),
    }
}

fn inspect(file: &Path, arguments: &Arguments) -> Result<Inspected, Report> {
    match Checkpoint::open(file) {
        Ok(checkpoint) => {
            let options = checkpoint::Options { tensors: arguments.tensors, values: arguments.values };
            Ok(Inspected::Checkpoint(checkpoint::Inspected::new(&checkpoint, options)))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotSafetensors(Looks::Media)) => {
            Ok(Inspected::Video(video::Inspected::new(file)?))
        }
        Err(error) => Err(error.into()),
    }
}

impl Inspected {
    fn text(&self) -> String {
        let (head, rows) = match self {
            Self::Checkpoint(inspected) => (inspected.head(), inspected.rows()),
            Self::Video(inspected) => (inspected.head(), inspected.rows()),
        };
        let rows = rows.into_iter().map(|(name, value)| format!("  {name:<10} {value}"));
        [head].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
    }
}

/// A line of text: what, and its value.
type Row = (String, String);
