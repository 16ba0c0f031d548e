//! Reads a Hugging Face `tokenizer.json` that was converted from a sentencepiece unigram model.
//!
//! The format has no piece types and no sentencepiece flags; they are inferred from what the
//! converters of transformers 4 and 5 write for them.

use std::collections::HashSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;
use crate::charsmap::Charsmap;
use crate::vocabulary::{Piece, PieceKind, Roles, Rules, Vocabulary, byte_of};

pub(crate) const FORMAT: &str = "tokenizer.json";

const VISIBLE_SPACE: &str = "\u{2581}";

pub(crate) fn parse(bytes: &[u8]) -> Result<Vocabulary, Error> {
    let file = read(bytes)?;
    let mut pieces = Vec::with_capacity(file.model.vocab.len());
    for (text, score) in file.model.vocab {
        // Files of UMT5 that were written by other programs have lost the text of two pieces.
        let kind = if text.is_empty() { PieceKind::Absent } else { PieceKind::Normal };
        pieces.push(Piece { text: text.into_bytes().into(), score: score as f32, kind });
    }
    let byte_fallback = mark_bytes(&mut pieces);
    for token in &file.added_tokens {
        add_token(token, &mut pieces)?;
    }
    let unk = file.model.unk_id.and_then(|id| pieces.get_mut(id));
    unk.ok_or_else(|| damaged("model.unk_id", "no unknown piece is named"))?.kind = PieceKind::Unknown;

    let mut rules = Rules { add_dummy_prefix: false, remove_extra_whitespaces: false, ..Rules::default() };
    if let Some(normalizer) = &file.normalizer {
        read_normalizer(normalizer, &mut rules)?;
    }
    if let Some(pre_tokenizer) = &file.pre_tokenizer {
        read_pre_tokenizer(pre_tokenizer, &mut rules)?;
    }
    Ok(Vocabulary { pieces, rules, byte_fallback, roles: Roles::default() })
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: usize,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Model {
    unk_id: Option<usize>,
    vocab: Vec<(String, f64)>,
}

fn read(bytes: &[u8]) -> Result<File, Error> {
    /// Just enough to say what a file is that does not fit [`File`].
    #[derive(Deserialize)]
    struct Kind {
        model: ModelKind,
    }
    #[derive(Deserialize)]
    struct ModelKind {
        r#type: String,
    }

    serde_json::from_slice(bytes).map_err(|error| match serde_json::from_slice::<Kind>(bytes) {
        Ok(kind) if kind.model.r#type != "Unigram" => {
            unsupported(format!("its model is {}, expected Unigram", kind.model.r#type))
        }
        _ => damaged(&format!("line {} column {}", error.line(), error.column()), &error.to_string()),
    })
}

/// Marks the pieces `<0x00>` to `<0xFF>` if all are there: only byte fallback makes them.
/// (Converters keep them and yet write `"byte_fallback": false` for T5.)
fn mark_bytes(pieces: &mut [Piece]) -> bool {
    let bytes: HashSet<u8> = pieces.iter().filter_map(|piece| byte_of(&piece.text)).collect();
    let has_all = bytes.len() == 256;
    if has_all {
        for piece in pieces.iter_mut().filter(|piece| byte_of(&piece.text).is_some()) {
            piece.kind = PieceKind::Byte;
        }
    }
    has_all
}

/// Converters list control pieces as special tokens and user-defined ones as plain added tokens.
fn add_token(token: &AddedToken, pieces: &mut Vec<Piece>) -> Result<(), Error> {
    let place = format!("added token {} (`{}`)", token.id, token.content);
    let kind = if token.special { PieceKind::Control } else { PieceKind::UserDefined };
    let count = pieces.len();
    match pieces.get_mut(token.id) {
        Some(piece) if *piece.text == *token.content.as_bytes() => piece.kind = kind,
        Some(piece) => {
            let found = String::from_utf8_lossy(&piece.text);
            return Err(damaged(&place, &format!("the vocabulary has `{found}` under this id")));
        }
        None if token.id == count => {
            let text = token.content.clone().into_bytes().into();
            pieces.push(Piece { text, score: 0.0, kind });
        }
        None => return Err(damaged(&place, &format!("ids {count} to {} are missing", token.id - 1))),
    }
    Ok(())
}

fn read_normalizer(normalizer: &Value, rules: &mut Rules) -> Result<(), Error> {
    let text = |pointer: &str| normalizer.pointer(pointer).and_then(Value::as_str);
    match text("/type") {
        None if normalizer.is_null() => {}
        Some("Sequence") => {
            for part in parts(normalizer, "normalizers") {
                read_normalizer(part, rules)?;
            }
        }
        Some("Precompiled") => rules.charsmap = read_charsmap(normalizer)?,
        // Spaces are collapsed and made visible, which `Rules` say as flags; ends are trimmed with that.
        Some("Strip") => {}
        Some("Replace") if text("/pattern/Regex") == Some(" {2,}") => rules.remove_extra_whitespaces = true,
        Some("Replace") if text("/pattern/String") == Some(" ") && text("/content") == Some(VISIBLE_SPACE) => {}
        Some("Prepend") if text("/prepend") == Some(VISIBLE_SPACE) => rules.add_dummy_prefix = true,
        _ => return Err(unsupported(format!("the normalizer {}", shortened(normalizer)))),
    }
    Ok(())
}

fn read_charsmap(normalizer: &Value) -> Result<Option<Charsmap>, Error> {
    let place = "normalizer.precompiled_charsmap";
    let text = normalizer.get("precompiled_charsmap").and_then(Value::as_str).unwrap_or_default();
    let table = BASE64_STANDARD.decode(text).map_err(|error| damaged(place, &error.to_string()))?;
    if table.is_empty() {
        return Ok(None);
    }
    Charsmap::parse(&table)
        .map(Some)
        .map_err(|problem| damaged(place, &format!("the character table is broken ({problem})")))
}

fn read_pre_tokenizer(pre_tokenizer: &Value, rules: &mut Rules) -> Result<(), Error> {
    let text = |key: &str| pre_tokenizer.get(key).and_then(Value::as_str);
    match text("type") {
        None if pre_tokenizer.is_null() => {}
        Some("Sequence") => {
            for part in parts(pre_tokenizer, "pretokenizers") {
                read_pre_tokenizer(part, rules)?;
            }
        }
        Some("WhitespaceSplit") => rules.remove_extra_whitespaces = true,
        Some("Metaspace") if text("replacement") == Some(VISIBLE_SPACE) => {
            // Newer files say `prepend_scheme`, older ones `add_prefix_space`, which was on unless denied.
            let is_added = pre_tokenizer.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(true);
            rules.add_dummy_prefix = text("prepend_scheme").map_or(is_added, |scheme| scheme != "never");
        }
        _ => return Err(unsupported(format!("the pre-tokenizer {}", shortened(pre_tokenizer)))),
    }
    Ok(())
}

fn parts<'a>(sequence: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    sequence.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn shortened(value: &Value) -> String {
    value.to_string().chars().take(120).collect()
}

fn unsupported(feature: String) -> Error {
    Error::Unsupported { format: FORMAT, feature }
}

fn damaged(place: &str, problem: &str) -> Error {
    Error::Damaged { format: FORMAT, place: place.into(), problem: problem.into() }
}
