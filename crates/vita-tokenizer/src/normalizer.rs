//! Text to the form that pieces are written in: characters folded, spaces collapsed and made visible.
//!
//! Follows the observable behaviour of sentencepiece's normaliser. Its rules are data of the
//! vocabulary; a text that does not end up as UTF-8 (only a damaged vocabulary does that) is kept
//! as bytes.

use crate::unigram::PieceIndex;
use crate::vocabulary::Rules;

/// U+2581, which stands for a space inside pieces.
const VISIBLE_SPACE: &[u8] = "\u{2581}".as_bytes();

/// Rewrites `text`; pieces in `untouched` (the user-defined ones) pass as they are.
pub(crate) fn normalize(text: &str, rules: &Rules, untouched: &PieceIndex) -> Vec<u8> {
    let space = if rules.escape_whitespaces { VISIBLE_SPACE } else { b" " };
    let mut rest = text.as_bytes();
    if rules.remove_extra_whitespaces {
        while let (b" ", length) = rewrite_prefix(rest, rules, untouched) {
            rest = &rest[length..];
        }
    }
    if rest.is_empty() {
        return Vec::new();
    }

    let mut normalized = Vec::with_capacity(rest.len() + rest.len() / 2 + space.len());
    if rules.add_dummy_prefix && !rules.treat_whitespace_as_suffix {
        normalized.extend_from_slice(space);
    }
    let mut follows_space = rules.remove_extra_whitespaces;
    while !rest.is_empty() {
        let (mut rewritten, length) = rewrite_prefix(rest, rules, untouched);
        rest = &rest[length..];
        while follows_space && let Some(shorter) = rewritten.strip_prefix(b" ") {
            rewritten = shorter;
        }
        for &byte in rewritten {
            match byte {
                b' ' => normalized.extend_from_slice(space),
                _ => normalized.push(byte),
            }
        }
        // A rewrite to nothing leaves the answer as it was.
        if let Some(&last) = rewritten.last() {
            follows_space = rules.remove_extra_whitespaces && last == b' ';
        }
    }
    if rules.remove_extra_whitespaces {
        while normalized.ends_with(space) {
            normalized.truncate(normalized.len() - space.len());
        }
    }
    if rules.add_dummy_prefix && rules.treat_whitespace_as_suffix {
        normalized.extend_from_slice(space);
    }
    normalized
}

/// What the beginning of `text` becomes, and how many bytes of it that uses up.
fn rewrite_prefix<'a>(text: &'a [u8], rules: &'a Rules, untouched: &PieceIndex) -> (&'a [u8], usize) {
    if let Some((length, _)) = untouched.prefixes(text).last() {
        return (&text[..length], length);
    }
    if let Some((length, replacement)) = rules.charsmap.as_ref().and_then(|charsmap| charsmap.longest_prefix(text)) {
        return (replacement, length);
    }
    // A rule of a damaged table may end inside a character; its remaining bytes are not text.
    let length = character_length(text);
    match std::str::from_utf8(&text[..length]) {
        Ok(_) => (&text[..length], length),
        Err(_) => ("\u{FFFD}".as_bytes(), 1),
    }
}

/// Bytes of the UTF-8 character that `text` starts with, by its first byte; 0 at the end.
pub(crate) fn character_length(text: &[u8]) -> usize {
    let length = match text.first() {
        None => 0,
        Some(..0xC0) => 1,
        Some(0xC0..0xE0) => 2,
        Some(0xE0..0xF0) => 3,
        Some(0xF0..) => 4,
    };
    length.min(text.len())
}
