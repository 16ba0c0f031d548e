//! Text to token ids, as the text encoder of the Wan models (UMT5) expects them.
//!
//! A [`Tokenizer`] is a sentencepiece unigram vocabulary. It is read from the bytes of a
//! `spiece.model` (a file, or the `spiece_model` tensor of a checkpoint) or of a `tokenizer.json`,
//! and gives the ids that sentencepiece 0.2.3 gives, whichever of the two it came from.
//! [`Tokenizer::prompt`] adds what user interfaces agree on: `(words:1.2)` weights, an end token,
//! padding, and optionally the cleaning that the models were trained with.
//!
//! Vocabularies are untrusted input: a bad one is an [`Error`], never a panic, and memory stays
//! proportional to the bytes given. Nothing here reads files, logs, or keeps state between calls;
//! a `Tokenizer` may be shared by threads.

#![forbid(unsafe_code)]

mod charsmap;
mod clean;
mod error;
mod html_entities;
mod normalizer;
mod prompt;
mod prompt_weights;
mod sentencepiece;
mod tokenizer;
mod tokenizer_json;
mod unigram;
mod vocabulary;

pub use clean::clean;
pub use error::Error;
pub use prompt::{Cleaning, PromptOptions, PromptTokens, Warning};
pub use prompt_weights::{PromptWeights, Segment};
pub use tokenizer::Tokenizer;
pub use vocabulary::SpecialIds;
