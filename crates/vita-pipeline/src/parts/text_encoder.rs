//! UMT5 and its vocabulary: prompts to rows.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vita_models::umt5::{self, Umt5};
use vita_tensor::Tensor;
use vita_tokenizer::{PromptOptions, PromptTokens, Tokenizer};
use vita_weights::{Checkpoint, Role, Weights};

use super::{Part, TextRows};
use crate::environment::{Environment, Loading, proceed};
use crate::frame::is_finite;
use crate::memory::StageMemory;
use crate::progress::Stage;
use crate::residency::Residency;
use crate::{Error, prompt_markup};

/// How a prompt is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptStyle {
    /// As ComfyUI's `CLIPTextEncode`: `(words:1.2)` weighs these words' rows, and no prompt is cut.
    Comfy,
    /// As the Wan wrapper reads positive prompts: `(words:1.2)` weighs all rows, 512 tokens at most.
    Wrapper,
    /// As the official code, and the wrapper's negative prompts: no markup, 512 tokens at most.
    Official,
}

/// A text encoder, opened. Cheap to clone.
#[derive(Clone)]
pub struct TextEncoder(Arc<Opened>);

struct Opened {
    part: Part<umt5::Config>,
    tokenizer: Tokenizer,
    /// Bytes of the table of embeddings, which stays in its file.
    table_bytes: u64,
}

/// Names of a vocabulary's file, as it lies beside a text encoder.
const TOKENIZER_FILES: &[&str] = &["spiece.model", "tokenizer.json"];

impl TextEncoder {
    /// Opens a file. The vocabulary is inside it, or beside it as `spiece.model` or `tokenizer.json`.
    ///
    /// # Errors
    /// If it cannot be read, is no UMT5 encoder, or has no vocabulary.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::new(&Checkpoint::open(path)?)
    }

    /// The same of a checkpoint that is open already.
    ///
    /// # Errors
    /// As [`TextEncoder::open`].
    pub fn new(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let weights = checkpoint.weights(Role::TextEncoder)?;
        let config = umt5::Config::of(&weights.umt5_facts()?);
        let tokenizer = find_tokenizer(&weights)?;
        let table = weights.all().find(|(name, _)| *name == "shared.weight");
        let table_bytes = table.map_or(0, |(_, stored)| stored.bytes.len() as u64);
        let part = Part::new(weights, config, "text encoder");
        Ok(Self(Arc::new(Opened { part, tokenizer, table_bytes })))
    }

    /// Has it leave the card it is on, if it is on one, until it is used again.
    pub fn offload(&self, residency: &Residency) {
        residency.leave_card(&self.0.part.id);
    }

    /// Its file, as it was given.
    pub fn file(&self) -> &str {
        self.0.part.file()
    }

    /// Width of a row.
    pub fn width(&self) -> usize {
        self.0.part.config.dim
    }

    /// Tokens of a prompt, the end token among them.
    ///
    /// # Errors
    /// If the prompt cannot be tokenised.
    pub fn token_count(&self, prompt: &str, style: PromptStyle) -> Result<usize, Error> {
        Ok(self.tokens(prompt, style)?.0.tokens.len())
    }

    /// Encodes one prompt.
    ///
    /// # Errors
    /// As [`TextEncoder::encode_all`].
    pub fn encode(&self, prompt: &str, style: PromptStyle, environment: &mut Environment) -> Result<TextRows, Error> {
        let mut rows = self.encode_all(&[(prompt, style)], environment)?;
        Ok(rows.remove(0))
    }

    /// Encodes prompts, all in one pass: the weights are read once.
    ///
    /// # Errors
    /// If a prompt cannot be tokenised, the encoder cannot be loaded or gives no numbers, or the work was cancelled.
    pub fn encode_all(
        &self,
        prompts: &[(&str, PromptStyle)],
        environment: &mut Environment,
    ) -> Result<Vec<TextRows>, Error> {
        let tokens: Vec<(PromptTokens, f32)> =
            prompts.iter().map(|(prompt, style)| self.tokens(prompt, *style)).collect::<Result<_, _>>()?;
        let ids: Vec<Vec<u32>> = tokens.iter().map(|(tokens, _)| tokens.ids()).collect();
        // Weighted words are moved away from, or towards, the encoding of an empty prompt, which is its end token.
        let weighted = tokens.iter().find(|(tokens, _)| tokens.is_weighted());
        let empty = weighted.and_then(|(tokens, _)| tokens.tokens.last()).map(|&(end, _)| [end]);
        let runs: Vec<&[u32]> = ids.iter().map(|ids| &ids[..]).chain(empty.iter().map(|ids| &ids[..])).collect();
        let token_count = runs.iter().map(|ids| ids.len()).sum();

        let Opened { part, .. } = &*self.0;
        let memory = self.memory(token_count);
        let network = Loading { load: &|| Ok(Umt5::load(&part.weights)?), to_card: &Umt5::to_card };
        let mut rows = environment.with_network(&part.id, memory, network, |environment, encoder| {
            let mut stage = environment.begin(Stage::Text, part.config.layers);
            let watch = &mut |_| {
                environment.step(&mut stage);
                proceed(environment.cancel)
            };
            let ControlFlow::Continue(rows) = encoder.encode_all(&runs, watch)? else { return Err(Error::Cancelled) };
            let rows = rows.iter().map(Tensor::to_host).collect::<Result<Vec<_>, _>>()?;
            environment.end(stage);
            Ok(rows)
        })?;
        let empty = empty.and_then(|_| rows.pop());
        let finished = rows.into_iter().zip(&tokens).map(|(rows, (tokens, weight))| {
            let rows = match &empty {
                Some(empty) if tokens.is_weighted() => weigh(rows, empty, tokens),
                _ => rows,
            };
            if !is_finite(&rows) {
                return Err(Error::TextNotFinite { file: self.file().into() });
            }
            tokens.warnings.iter().for_each(|warning| environment.warn(warning.to_string()));
            Ok(TextRows::new(rows).scaled(*weight))
        });
        finished.collect()
    }

    /// What encoding so many tokens takes, of all prompts together.
    pub(crate) fn memory(&self, token_count: usize) -> StageMemory {
        let Opened { part, table_bytes, .. } = &*self.0;
        StageMemory {
            stage: Stage::Text,
            weight_bytes: part.bytes.saturating_sub(*table_bytes),
            activation_bytes: umt5::peak_bytes(&part.config, token_count) as u64,
        }
    }

    /// A prompt's tokens, and what all of its rows are multiplied by.
    fn tokens(&self, prompt: &str, style: PromptStyle) -> Result<(PromptTokens, f32), Error> {
        let tokenizer = &self.0.tokenizer;
        Ok(match style {
            PromptStyle::Comfy => (tokenizer.prompt(prompt, PromptOptions::comfy())?, 1.0),
            PromptStyle::Official => (tokenizer.prompt(prompt, PromptOptions::official())?, 1.0),
            PromptStyle::Wrapper => {
                let (plain, weight) = prompt_markup::of_whole(prompt);
                (tokenizer.prompt(&plain, PromptOptions::official())?, weight)
            }
        })
    }
}

/// `z' = (z - e) w + e` for each row, where `e` is the empty prompt's: zeros but for the first.
fn weigh(mut rows: Tensor, empty: &Tensor, prompt: &PromptTokens) -> Tensor {
    let width = rows.dims()[1];
    let weights = prompt.tokens.iter().map(|&(_, weight)| weight);
    for (i, (row, weight)) in rows.f32s_mut().chunks_exact_mut(width).zip(weights).enumerate() {
        for (value, &first) in row.iter_mut().zip(empty.f32s()) {
            let empty = if i == 0 { first } else { 0.0 };
            *value = (*value - empty) * weight + empty;
        }
    }
    rows
}

fn find_tokenizer(weights: &Weights) -> Result<Tokenizer, Error> {
    if let Some(bytes) = weights.embedded("spiece_model") {
        return Ok(Tokenizer::from_bytes(&bytes)?);
    }
    let checkpoint = weights.checkpoint();
    let folder = checkpoint.path().and_then(Path::parent);
    let beside = folder.into_iter().flat_map(|folder| TOKENIZER_FILES.iter().map(move |name| folder.join(name)));
    match beside.into_iter().find(|path| path.is_file()) {
        Some(path) => read_tokenizer(path),
        None => Err(Error::NoTokenizer { file: checkpoint.name().into() }),
    }
}

fn read_tokenizer(path: PathBuf) -> Result<Tokenizer, Error> {
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Tokenizer::from_bytes(&bytes)?),
        Err(source) => Err(Error::Read { path, source }),
    }
}
