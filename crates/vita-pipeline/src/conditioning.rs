//! A prompt as the transformer takes it: one row a token, weighted as ComfyUI weights them.

use std::ops::ControlFlow;

use vita_models::umt5::Umt5;
use vita_models::wan;
use vita_tensor::Tensor;
use vita_tokenizer::{PromptOptions, Tokenizer};

use crate::Error;
use vita_base::Cancel;

/// A prompt's embedding `[n, C]`, without the zeros that pad it, and what was left out of it.
pub(crate) struct Encoded {
    pub rows: Tensor,
    pub warnings: Vec<String>,
}

impl Encoded {
    /// The embedding with its padding up to 512 tokens; a longer prompt is not cut.
    pub fn prompt(&self) -> Result<wan::Prompt, Error> {
        let count = self.rows.dims()[0];
        Ok(wan::Prompt::new(&self.rows, wan::Config::TEXT_LEN.saturating_sub(count))?)
    }
}

/// Number of tokens of a prompt, the end token among them.
pub(crate) fn token_count(tokenizer: &Tokenizer, text: &str) -> Result<usize, Error> {
    Ok(tokenizer.prompt(text, PromptOptions::comfy())?.tokens.len())
}

/// Encodes a prompt. Weighted words are moved away from, or towards, the encoding of an empty prompt:
/// `z' = (z - e) w + e`. The empty prompt's rows are zeros but for the first, its end token.
pub(crate) fn encode(encoder: &Umt5, tokenizer: &Tokenizer, text: &str, cancel: &Cancel) -> Result<Encoded, Error> {
    let prompt = tokenizer.prompt(text, PromptOptions::comfy())?;
    let mut rows = run(encoder, &prompt.ids(), cancel)?;
    if prompt.is_weighted() {
        let end = prompt.tokens.last().map_or(1, |&(id, _)| id);
        let empty = run(encoder, &[end], cancel)?;
        let width = rows.dims()[1];
        let weights = prompt.tokens.iter().map(|&(_, weight)| weight);
        for (i, (row, weight)) in rows.f32s_mut().chunks_exact_mut(width).zip(weights).enumerate() {
            for (value, &first) in row.iter_mut().zip(empty.f32s()) {
                let empty = if i == 0 { first } else { 0.0 };
                *value = (*value - empty) * weight + empty;
            }
        }
    }
    Ok(Encoded { rows, warnings: prompt.warnings.iter().map(ToString::to_string).collect() })
}

fn run(encoder: &Umt5, ids: &[u32], cancel: &Cancel) -> Result<Tensor, Error> {
    let mut watch = |_| if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    match encoder.encode_with(ids, &mut watch)? {
        ControlFlow::Continue(rows) => Ok(rows),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
