//! `probe tokenize`: text to token ids.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use vita_base::{Hint, Report};
use vita_tokenizer::{PromptOptions, Tokenizer};
use vita_weights::{Checkpoint, Role};

use crate::terminal;

/// Text to token ids.
///
/// Prints JSON: the ids as a list, or with `--weights` as a list of [id, weight]; with `--texts` a list of such lists.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The text.
    #[arg(long, allow_hyphen_values = true, required_unless_present = "texts")]
    text: Option<String>,
    /// Texts, instead of one: a file with a JSON list of strings.
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    texts: Option<PathBuf>,
    /// A `spiece.model`, a `tokenizer.json`, or a text encoder's `.safetensors` with one inside.
    #[arg(long, value_name = "FILE")]
    tokenizer: PathBuf,
    /// What happens to the text.
    #[arg(long, value_enum, default_value_t = Style::Plain)]
    style: Style,
    /// Print every id with its weight.
    #[arg(long)]
    weights: bool,
}

/// Ways from a text to ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Style {
    /// The text alone, as sentencepiece gives it.
    Plain,
    /// As ComfyUI: `(words:1.2)` are weights, an end token, padding to 512.
    Comfy,
    /// As the official code: cleaned, an end token, cut to and padded to 512.
    Official,
}

/// Sequences are filled up to at least this.
const PADDED_COUNT: usize = 512;

/// Prints the ids.
///
/// # Errors
/// A file that holds no vocabulary, or a text that the style refuses.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let tokenizer = open(arguments)?;
    if let Some(text) = &arguments.text {
        return terminal::print(&arguments.ids(&tokenizer, text)?.to_string());
    }
    let texts = arguments.texts.as_deref().map(read_texts).transpose()?.unwrap_or_default();
    let all = texts.iter().map(|text| arguments.ids(&tokenizer, text)).collect::<Result<Vec<_>, _>>()?;
    terminal::print(&json!(all).to_string())
}

impl Arguments {
    fn ids(&self, tokenizer: &Tokenizer, text: &str) -> Result<Value, Report> {
        let options = match self.style {
            Style::Plain => None,
            Style::Comfy => Some(PromptOptions::comfy()),
            Style::Official => Some(PromptOptions::official()),
        };
        let tokens = match options {
            None => tokenizer.encode(text).into_iter().map(|id| (id, 1.0)).collect(),
            Some(options) => {
                let prompt = tokenizer.prompt(text, options)?;
                prompt.warnings.iter().for_each(|warning| terminal::note(&format!("warning: {warning}")));
                prompt.padded(PADDED_COUNT)
            }
        };
        let ids = || tokens.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        Ok(if self.weights { json!(tokens) } else { json!(ids()) })
    }
}

fn read_texts(path: &Path) -> Result<Vec<String>, Report> {
    let hint = "write a JSON list of strings into it";
    let text = fs::read_to_string(path)
        .map_err(|error| Report::new(format!("cannot read `{}`: {error}", path.display())).with_hint(hint))?;
    serde_json::from_str(&text)
        .map_err(|error| Report::new(format!("`{}` holds no list of texts: {error}", path.display())).with_hint(hint))
}

fn open(arguments: &Arguments) -> Result<Tokenizer, Report> {
    let path = &arguments.tokenizer;
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        let weights = Checkpoint::open(path)?.weights(Role::TextEncoder)?;
        let vocabulary = weights.embedded("spiece_model").ok_or_else(|| {
            Report::new(format!("`{}` has no vocabulary inside", path.display()))
                .with_hint("take the `spiece.model` or `tokenizer.json` that belongs to it")
        })?;
        return Tokenizer::from_bytes(&vocabulary).map_err(|error| in_file(path, &error));
    }
    let bytes = fs::read(path).map_err(|error| {
        Report::new(format!("cannot read `{}`: {error}", path.display()))
            .with_hint("take a `spiece.model`, a `tokenizer.json`, or a text encoder's `.safetensors`")
    })?;
    Tokenizer::from_bytes(&bytes).map_err(|error| in_file(path, &error))
}

fn in_file(path: &Path, error: &impl Hint) -> Report {
    let report = Report::new(format!("`{}`: {error}", path.display()));
    match error.hint() {
        Some(hint) => report.with_hint(hint),
        None => report,
    }
}
