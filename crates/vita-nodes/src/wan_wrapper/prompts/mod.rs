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

/// What should be seen and what should not, encoded. `|` parts what should be seen into sections of the video.
///
/// # Errors
/// Shots of another model, or as the pipeline's `encode_all`.
pub fn encode(
    encoder: &TextEncoder,
    [positive, negative]: [&str; 2],
    context: &mut Context<'_>,
) -> Result<TextEmbeds, NodeError> {
    check_shots(positive)?;
    let sections = positive.split('|').map(|section| (section.trim(), PromptStyle::Wrapper));
    let prompts: Vec<(&str, PromptStyle)> = sections.chain([(negative, PromptStyle::Official)]).collect();
    let mut rows = run(context, Stage::Text, |environment| encoder.encode_all(&prompts, environment))?;
    let negative = rows.pop();
    let positive = rows[0].clone();
    let sections = if rows.len() > 1 { rows } else { Vec::new() };
    Ok(TextEmbeds { positive, negative, sections, nag: None })
}

/// One prompt, without weights, encoded.
///
/// # Errors
/// As [`encode`].
pub fn encode_one(encoder: &TextEncoder, prompt: &str, context: &mut Context<'_>) -> Result<TextEmbeds, NodeError> {
    check_shots(prompt)?;
    let rows = run(context, Stage::Text, |environment| encoder.encode(prompt, PromptStyle::Official, environment))?;
    Ok(TextEmbeds { positive: rows, negative: None, sections: Vec::new(), nag: None })
}

/// Shots of one prompt lead different parts of a video: all of it encoded as one would be another video.
fn check_shots(prompt: &str) -> Result<(), NodeError> {
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
    fn shots_are_not_taken_for_words() {
        assert!(check_shots("a cat (red:1.2) | [2]").is_ok());
        assert!(check_shots("[1] a [2] b").unwrap_err().to_string().contains("EchoShot"));
    }
}
