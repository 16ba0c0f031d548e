//! What is said of a video or picture: the texts that are kept in it.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};
use vita_base::Report;
use vita_media::read_metadata;

use super::Row;
use crate::commands::generate::METADATA_KEY;

/// A video, as JSON has it.
#[derive(Serialize)]
pub struct Inspected {
    file: String,
    /// Texts by name; those that are JSON as what they say.
    metadata: Map<String, Value>,
}

impl Inspected {
    pub fn new(file: &Path) -> Result<Self, Report> {
        let texts = read_metadata(file)?.into_iter();
        let parsed = texts.map(|(name, text)| {
            let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            (name, value)
        });
        Ok(Self { file: file.display().to_string(), metadata: parsed.collect() })
    }

    pub fn head(&self) -> String {
        let made = self.metadata.get(METADATA_KEY);
        let text = |name: &str| made.and_then(|made| made.get(name)).and_then(Value::as_str);
        match (text("version"), text("model")) {
            (Some(version), Some(model)) => format!("{}: made by vitascope {version} with {model}", self.file),
            _ if self.metadata.is_empty() => format!("{}: does not say what made it", self.file),
            _ => format!("{}: not made by vitascope", self.file),
        }
    }

    pub fn rows(&self) -> Vec<Row> {
        let settings = self.metadata.get(METADATA_KEY).and_then(|made| made.get("settings")).and_then(Value::as_object);
        let own = settings.into_iter().flatten();
        let others = self.metadata.iter().filter(|(name, _)| *name != METADATA_KEY);
        let row = |(name, value): (&String, &Value)| {
            (name.replace('_', " "), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        own.chain(others).map(row).collect()
    }
}
