//! A prompt to weighted ids: cleaning, weights, end token, length, padding.

use std::fmt;

use crate::prompt_weights::{PromptWeights, Segment};
use crate::{Error, Tokenizer, clean};

/// How a prompt becomes ids. [`comfy`](Self::comfy) and [`official`](Self::official) are the two
/// ways in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptOptions {
    /// What happens to the text first.
    pub cleaning: Cleaning,
    /// Whether `(words:1.2)` and `embedding:name` mean something; they are plain words otherwise.
    pub has_markup: bool,
    /// Most tokens that are kept, the end token among them; `None` keeps all.
    pub token_count_max: Option<usize>,
}

/// What happens to a prompt before it is tokenised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleaning {
    /// Nothing.
    None,
    /// [`clean`], as the models were trained.
    Official,
}

/// A prompt as the text encoder takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptTokens {
    /// Ids with the weights of their words; the last is the end token, with weight 1.
    pub tokens: Vec<(u32, f32)>,
    /// What sequences are filled up with.
    pub pad_id: u32,
    /// What of the prompt was left out.
    pub warnings: Vec<Warning>,
}

/// A part of a prompt that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// `embedding:name` asks for a textual inversion.
    EmbeddingIgnored {
        /// Its name.
        name: String,
    },
    /// The prompt is longer than the limit.
    Truncated {
        /// Tokens kept, the end token among them.
        kept: usize,
        /// Tokens dropped from the end.
        dropped: usize,
    },
}

impl PromptOptions {
    /// As ComfyUI: weights, the text as it is, no limit.
    pub const fn comfy() -> Self {
        Self { cleaning: Cleaning::None, has_markup: true, token_count_max: None }
    }

    /// As the official Wan code: cleaned, no weights, 512 tokens.
    pub const fn official() -> Self {
        Self { cleaning: Cleaning::Official, has_markup: false, token_count_max: Some(512) }
    }
}

impl Tokenizer {
    /// Tokenises a prompt. Parts with different weights are tokenised apart, each like a text of
    /// its own, as ComfyUI does; one end token follows the last.
    ///
    /// # Errors
    /// A vocabulary without an end or padding token, parentheses too deep, a limit of 0 tokens.
    pub fn prompt(&self, text: &str, options: PromptOptions) -> Result<PromptTokens, Error> {
        let special = self.special();
        let eos_id = special.eos.ok_or(Error::MissingSpecial { role: "end" })?;
        let pad_id = special.pad.ok_or(Error::MissingSpecial { role: "padding" })?;

        let cleaned = match options.cleaning {
            Cleaning::None => text.to_owned(),
            Cleaning::Official => clean(text),
        };
        let mut warnings = Vec::new();
        let mut tokens = Vec::new();
        for (words, weight) in words(&cleaned, options.has_markup, &mut warnings)? {
            tokens.extend(self.encode(&words).into_iter().map(|id| (id, weight)));
        }

        if let Some(count_max) = options.token_count_max {
            let kept = count_max.checked_sub(1).ok_or(Error::Length(count_max))?;
            if tokens.len() > kept {
                warnings.push(Warning::Truncated { kept: count_max, dropped: tokens.len() - kept });
                tokens.truncate(kept);
            }
        }
        tokens.push((eos_id, 1.0));
        Ok(PromptTokens { tokens, pad_id, warnings })
    }
}

impl PromptTokens {
    /// Ids alone.
    pub fn ids(&self) -> Vec<u32> {
        self.tokens.iter().map(|(id, _)| *id).collect()
    }

    /// Whether any weight differs from 1, so that the encoder has something to weigh.
    pub fn is_weighted(&self) -> bool {
        self.tokens.iter().any(|(_, weight)| *weight != 1.0)
    }

    /// The tokens, filled up with padding of weight 1 to at least `count_min`.
    pub fn padded(&self, count_min: usize) -> Vec<(u32, f32)> {
        let mut tokens = self.tokens.clone();
        tokens.resize(tokens.len().max(count_min), (self.pad_id, 1.0));
        tokens
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmbeddingIgnored { name } => {
                write!(f, "`embedding:{name}` is ignored: textual inversions are not supported")
            }
            Self::Truncated { kept, dropped } => {
                write!(f, "the prompt is cut to {kept} tokens; the last {dropped} have no effect")
            }
        }
    }
}

/// The texts to tokenise one by one, with their weights.
fn words(text: &str, has_markup: bool, warnings: &mut Vec<Warning>) -> Result<Vec<(String, f32)>, Error> {
    if !has_markup {
        return Ok(vec![(text.to_owned(), 1.0)]);
    }
    let segments = PromptWeights::parse(text)?.segments;
    Ok(segments.iter().flat_map(|segment| without_embeddings(segment, warnings)).collect())
}

/// Takes each `embedding:name` out of a segment. The text before and the text behind are
/// tokenised apart, as they would be around a loaded one.
fn without_embeddings(segment: &Segment, warnings: &mut Vec<Warning>) -> Vec<(String, f32)> {
    const MARK: &str = "embedding:";
    let mut texts = Vec::new();
    let mut rest = segment.text.as_str();
    while !rest.is_empty() {
        // A mark counts at the start and after a space or a line break, which it takes with it.
        let marks = rest.match_indices(MARK).map(|(at, _)| at);
        let next = marks.filter(|&at| at > 0 && matches!(rest.as_bytes()[at - 1], b' ' | b'\n')).find(|&at| at > 0);
        let (part, after) = next.map_or((rest, ""), |at| (&rest[..at - 1], &rest[at..]));
        match part.strip_prefix(MARK) {
            Some(named) => texts.push(leftover(named, warnings)),
            None => texts.push(part.to_owned()),
        }
        rest = after;
    }
    texts.into_iter().filter(|text| !text.is_empty()).map(|text| (text, segment.weight)).collect()
}

/// Notes the name that `named` starts with and returns what follows it; commas are not of the name.
fn leftover(named: &str, warnings: &mut Vec<Warning>) -> String {
    let mut words = named.split_whitespace();
    let first = words.next().unwrap_or_default();
    let name = first.trim_matches(',');
    warnings.push(Warning::EmbeddingIgnored { name: name.to_owned() });
    let commas = first.chars().skip(name.chars().count()).collect::<String>();
    let rest = words.collect::<Vec<_>>().join(" ");
    if commas.is_empty() { rest } else { format!("{commas} {rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_are_taken_out_with_a_warning() {
        check("a cat", &["a cat"], &[]);
        check("embedding:bad", &[], &["bad"]);
        check("a embedding:bad b  c", &["a", "b c"], &["bad"]);
        check("a\nembedding:x, b", &["a", ", b"], &["x"]);
        check("embedding:x embedding:y z", &["z"], &["x", "y"]);
        check("not_embedding:x", &["not_embedding:x"], &[]);
        check("embedding:", &[], &[""]);
        check(" embedding:x", &[], &["x"]);
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str], names: &[&str]) {
        let mut warnings = Vec::new();
        let found = words(text, true, &mut warnings).unwrap();
        assert_eq!(found.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(), expected, "{text}");
        let ignored: Vec<_> = names.iter().map(|&name| Warning::EmbeddingIgnored { name: name.into() }).collect();
        assert_eq!(warnings, ignored, "{text}");
    }
}
