//! What is said of a checkpoint.

use serde::Serialize;
use serde_json::Value;
use vita_base::bytes_text;
use vita_weights::{Checkpoint, Identity, Part, identify};

use super::{Row, values};

/// How much is asked for.
pub struct Options {
    /// Every tensor, too.
    pub tensors: bool,
    /// Every value looked at, too.
    pub values: bool,
}

/// A checkpoint, as JSON has it.
#[derive(Serialize)]
pub struct Inspected {
    file: String,
    #[serde(flatten)]
    identity: Identity,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<Vec<values::Broken>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<Vec<Listed>>,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

impl Inspected {
    pub fn new(checkpoint: &Checkpoint, options: Options) -> Self {
        Self {
            file: checkpoint.name().to_owned(),
            identity: identify(checkpoint),
            broken: options.values.then(|| values::broken(checkpoint)),
            tensors: options.tensors.then(|| list(checkpoint)),
        }
    }

    pub fn head(&self) -> String {
        format!("{}: {}", self.file, self.identity.system)
    }

    pub fn rows(&self) -> Vec<Row> {
        let identity = &self.identity;
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
        let (size, count) = (bytes_text(identity.size_bytes), identity.tensor_count);
        row("size", format!("{size} in {count} tensors, {} parameters", count_text(identity.parameter_count)));
        for kind in &identity.types {
            row("type", format!("{}: {} in {} tensors", kind.dtype, bytes_text(kind.size_bytes), kind.tensor_count));
        }
        for part in &identity.parts {
            if identity.parts.len() > 1 {
                row("network", part.system.clone());
            }
            part_rows(part, &mut row);
        }
        match self.broken.as_deref() {
            None => {}
            Some([]) => row("values", "all of them are finite numbers".to_owned()),
            Some(broken) => broken.iter().for_each(|tensor| row("problem", tensor.text())),
        }
        for tensor in self.tensors.iter().flatten() {
            row("tensor", format!("{} {} {:?}", tensor.name, tensor.dtype, tensor.shape));
        }
        rows
    }
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

/// The network's sizes, named as JSON names them.
fn sizes(part: &Part) -> Vec<String> {
    let Ok(Value::Object(fields)) = serde_json::to_value(&part.kind) else { return Vec::new() };
    let Some(Value::Object(sizes)) = fields.get("sizes") else { return Vec::new() };
    let shown = sizes.iter().filter(|(_, value)| !value.is_null());
    let texts = shown.map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{} {value}", name.replace('_', " "))
    });
    texts.collect()
}

fn list(checkpoint: &Checkpoint) -> Vec<Listed> {
    let tensors = checkpoint.tensors().map(|(name, stored)| Listed {
        name: name.to_owned(),
        dtype: stored.element_type.to_string(),
        shape: stored.dims.to_vec(),
    });
    tensors.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        for (count, want) in
            [(9_999, "9999"), (98_765, "98.8 thousand"), (1_234_567, "1.23 million"), (14_288_491_584, "14.29 billion")]
        {
            assert_eq!(count_text(count), want);
        }
    }
}
