//! `inspect FILE`: what a checkpoint is.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use vita_base::{Report, bytes_text};
use vita_weights::{Checkpoint, Identity, Part, identify};

use crate::terminal;

/// Say what a checkpoint is: network, sizes, types, problems.
///
/// Reads the header only, so that it takes no time however large the file is.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The checkpoints, `.safetensors`
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// List every tensor with its type and shape.
    #[arg(long)]
    tensors: bool,
    /// Print JSON: an object for one file, an array for several.
    #[arg(long)]
    json: bool,
}

/// One file, as JSON has it.
#[derive(Serialize)]
struct Inspected {
    file: String,
    #[serde(flatten)]
    identity: Identity,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<Vec<ListedTensor>>,
}

#[derive(Serialize)]
struct ListedTensor {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

/// Prints what the files are.
///
/// # Errors
/// The first file that is not a checkpoint.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let files = arguments.files.iter().map(|file| {
        let checkpoint = Checkpoint::open(file)?;
        let tensors = arguments.tensors.then(|| list(&checkpoint));
        Ok(Inspected { file: checkpoint.name().to_owned(), identity: identify(&checkpoint), tensors })
    });
    let files: Vec<Inspected> = files.collect::<Result<_, Report>>()?;
    match (arguments.json, &files[..]) {
        (true, [one]) => terminal::print_json(one),
        (true, several) => terminal::print_json(&several),
        (false, files) => terminal::print(&files.iter().map(text).collect::<Vec<_>>().join("\n\n")),
    }
}

fn list(checkpoint: &Checkpoint) -> Vec<ListedTensor> {
    let tensors = checkpoint.tensors().map(|(name, stored)| ListedTensor {
        name: name.to_owned(),
        dtype: stored.element_type.to_string(),
        shape: stored.dims.to_vec(),
    });
    tensors.collect()
}

fn text(file: &Inspected) -> String {
    let identity = &file.identity;
    let mut lines = vec![format!("{}: {}", file.file, identity.system)];
    let mut row = |name: &str, value: String| lines.push(format!("  {name:<10} {value}"));
    row(
        "size",
        format!(
            "{} in {} tensors, {} parameters",
            bytes_text(identity.size_bytes),
            identity.tensor_count,
            count_text(identity.parameter_count)
        ),
    );
    for kind in &identity.types {
        row("type", format!("{}: {} in {} tensors", kind.dtype, bytes_text(kind.size_bytes), kind.tensor_count));
    }
    for part in &identity.parts {
        if identity.parts.len() > 1 {
            row("network", part.system.clone());
        }
        part_rows(part, &mut row);
    }
    for tensor in file.tensors.iter().flatten() {
        row("tensor", format!("{} {} {:?}", tensor.name, tensor.dtype, tensor.shape));
    }
    lines.join("\n")
}

fn part_rows(part: &Part, row: &mut impl FnMut(&str, String)) {
    if !part.naming.is_empty() {
        row("names", part.naming.clone());
    }
    row("storage", part.storage.clone());
    let sizes = sizes(part);
    if !sizes.is_empty() {
        row("sizes", sizes.join(", "));
    }
    for note in &part.notes {
        row("note", note.clone());
    }
    for problem in &part.problems {
        row("problem", problem.clone());
    }
    if part.problems.is_empty() && part.role().is_some() {
        row("problems", "none".to_owned());
    }
}

/// The network's sizes by name, as JSON has them.
fn sizes(part: &Part) -> Vec<String> {
    let Ok(Value::Object(fields)) = serde_json::to_value(&part.kind) else { return Vec::new() };
    let Some(Value::Object(sizes)) = fields.get("sizes") else { return Vec::new() };
    let shown = sizes.iter().filter(|(_, value)| !value.is_null());
    let shown = shown.map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{} {value}", name.replace('_', " "))
    });
    shown.collect()
}

/// `1_418_996_800` -> `"1.42 billion"`.
fn count_text(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{:.1} thousand", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} million", count as f64 / 1e6),
        _ => format!("{:.2} billion", count as f64 / 1e9),
    }
}
