//! Prompts as the wrapper reads them: what its encoding nodes share.

use std::sync::Arc;

use vita_graph::{Context, Inputs, NodeError};
use vita_pipeline::{PromptStyle, Stage};

use super::data::TextEmbeds;
use crate::data::TextEncoder;
use crate::work::run;

/// The encoder of an input that the original needs only where it finds nothing on its disk.
///
/// # Errors
/// If there is none.
pub fn encoder(inputs: &Inputs) -> Result<Arc<TextEncoder>, NodeError> {
    inputs.optional("t5")?.ok_or_else(|| NodeError::Failed {
        kind: "ValueError",
        message: "there is no text encoder at the input `t5`".into(),
        hint: Some("connect LoadWanVideoT5TextEncoder: prompts are not kept on disk here".into()),
    })
}

/// What should be seen and what should not, encoded.
///
/// # Errors
/// A prompt of several sections, or as the pipeline's `encode_all`.
pub fn encode(
    encoder: &TextEncoder,
    [positive, negative]: [&str; 2],
    context: &mut Context<'_>,
) -> Result<TextEmbeds, NodeError> {
    check_sections(positive)?;
    let prompts = [(positive.trim(), PromptStyle::Wrapper), (negative, PromptStyle::Official)];
    let mut rows = run(context, Stage::Text, |environment| encoder.encode_all(&prompts, environment))?;
    let negative = rows.pop();
    Ok(TextEmbeds { positive: rows.remove(0), negative, nag: None })
}

/// One prompt, without weights, encoded.
///
/// # Errors
/// As [`encode`].
pub fn encode_one(encoder: &TextEncoder, prompt: &str, context: &mut Context<'_>) -> Result<TextEmbeds, NodeError> {
    check_sections_of_shots(prompt)?;
    let rows = run(context, Stage::Text, |environment| encoder.encode(prompt, PromptStyle::Official, environment))?;
    Ok(TextEmbeds { positive: rows, negative: None, nag: None })
}

/// Sections of one prompt lead different parts of a video: all of it encoded as one would be another video.
fn check_sections(prompt: &str) -> Result<(), NodeError> {
    if prompt.contains('|') {
        return Err(NodeError::Failed {
            kind: "NotImplementedError",
            message: "`|` parts the prompt into sections of the video, which are not built in yet".into(),
            hint: Some("write the prompt without `|`".into()),
        });
    }
    check_sections_of_shots(prompt)
}

fn check_sections_of_shots(prompt: &str) -> Result<(), NodeError> {
    match prompt.contains("[1]") {
        false => Ok(()),
        true => Err(NodeError::Failed {
            kind: "NotImplementedError",
            message: "`[1]` parts the prompt into shots of an EchoShot model, which are not built in".into(),
            hint: Some("write the prompt without `[1]`".into()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_not_taken_for_words() {
        assert!(check_sections("a cat (red:1.2), [2]").is_ok());
        let said = |prompt| check_sections(prompt).unwrap_err().to_string();
        assert!(said("a cat | a dog").starts_with("`|` parts the prompt") && said("[1] a [2] b").contains("EchoShot"));
    }
}
