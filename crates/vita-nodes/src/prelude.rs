//! What nearly every node's file needs.

pub(crate) use vita_graph::{
    Context, Field, Hidden, Inputs, Kind, Node, NodeError, Outputs, Spec, Style, Value, combo, field, files, float,
    int, link, seed, switch, text,
};

pub(crate) use crate::data::*;

/// Longest side of a picture, ComfyUI's `MAX_RESOLUTION`.
pub(crate) const SIDE_MAX: i128 = 16_384;

/// Most pictures of a batch.
pub(crate) const BATCH_MAX: i128 = 4_096;

/// A whole number whose widget has no step of its own.
pub(crate) fn whole(default: i128, range: std::ops::RangeInclusive<i128>) -> Field {
    field(Kind::Int { default: Some(default), range, step: None, control_after_generate: false })
}

/// A whole number without a greatest.
pub(crate) fn whole_from(default: i128, least: i128) -> Field {
    whole(default, least..=i128::MAX)
}

/// A number that the page rounds to hundredths: guidance.
pub(crate) fn cfg() -> Field {
    field(Kind::Float { default: Some(8.0), range: 0.0..=100.0, step: Some(0.1), round: Some(0.01) })
}

/// A text of several lines, without a default.
pub(crate) fn lines() -> Field {
    field(Kind::Text { default: None, multiline: true, dynamic_prompts: false })
}

/// One output.
pub(crate) fn one(value: impl Into<Value>) -> Result<Outputs, NodeError> {
    Ok(Outputs::values([value.into()]))
}

/// A line of text, without a default.
pub(crate) fn line() -> Field {
    field(Kind::Text { default: None, multiline: false, dynamic_prompts: false })
}

/// What a prefix of file names may hold.
pub(crate) const PREFIX: &str = "Folders and the beginning of the file name. %width%, %height%, %year%, %month%, %day%, \
    %hour%, %minute% and %second% are replaced; the page replaces %date:yyyy-MM-dd% and %Node.widget%.";
