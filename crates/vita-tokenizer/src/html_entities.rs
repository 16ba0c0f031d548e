//! `&eacute;` and `&#233;` to the characters they stand for, as the HTML 5 standard reads them
//! outside of attributes and as Python's `html.unescape` does.

use std::sync::LazyLock;

/// Longest name that is looked at, in characters.
const NAME_LENGTH_MAX: usize = 32;

/// Names (some also without their semicolon) and what they stand for, sorted by name.
static NAMED: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    let lines = include_str!("data/html_entities.tsv").lines();
    lines.filter_map(|line| line.split_once('\t')).map(|(name, codes)| (name, characters(codes))).collect()
});

/// C1 controls are what Windows-1252 has in their place; the five it leaves free stay.
pub(crate) const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}', //
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
];

/// Replaces every reference once; `&amp;lt;` becomes `&lt;`.
pub(crate) fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        result.push_str(&rest[..at]);
        let reference = &rest[at + 1..];
        let length = numeric(reference, &mut result).or_else(|| named(reference, &mut result));
        if length.is_none() {
            result.push('&');
        }
        rest = &reference[length.unwrap_or(0)..];
    }
    result + rest
}

/// Characters from hexadecimal codes with spaces between, as the data files have them.
pub(crate) fn characters(codes: &str) -> String {
    codes.split(' ').filter_map(|code| u32::from_str_radix(code, 16).ok().and_then(char::from_u32)).collect()
}

/// Appends what `#233;` or `#xE9;` at the start stands for; returns its length.
fn numeric(reference: &str, result: &mut String) -> Option<usize> {
    let body = reference.strip_prefix('#')?;
    let (prefix, radix) = if body.starts_with(['x', 'X']) { (2, 16) } else { (1, 10) };
    let digits = &reference[prefix..];
    let digit_count = digits.bytes().take_while(|byte| char::from(*byte).is_digit(radix)).count();
    if digit_count == 0 {
        return None;
    }
    // Too many digits to fit are beyond Unicode as well.
    let code = u32::from_str_radix(&digits[..digit_count], radix).unwrap_or(u32::MAX);
    result.extend(by_code(code));
    let has_semicolon = digits[digit_count..].starts_with(';');
    Some(prefix + digit_count + usize::from(has_semicolon))
}

/// The character of a code: repaired where the standard repairs, `None` for codes it forbids.
fn by_code(code: u32) -> Option<char> {
    match code {
        0x80..=0x9F => Some(WINDOWS_1252[code as usize - 0x80]),
        0x01..=0x08 | 0x0B | 0x0E..=0x1F | 0x7F | 0xFDD0..=0xFDEF => None,
        _ if code & 0xFFFE == 0xFFFE && code <= 0x10FFFF => None,
        0 => Some(char::REPLACEMENT_CHARACTER),
        _ => Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
    }
}

/// Appends what the longest name at the start stands for; returns the name's length.
fn named(reference: &str, result: &mut String) -> Option<usize> {
    let is_of_name = |c: char| !matches!(c, '\t' | '\n' | '\x0C' | ' ' | '<' | '&' | '#' | ';');
    let name_bytes: usize =
        reference.chars().take(NAME_LENGTH_MAX).take_while(|&c| is_of_name(c)).map(char::len_utf8).sum();
    let has_semicolon = name_bytes > 0 && reference[name_bytes..].starts_with(';');
    let candidate = &reference[..name_bytes + usize::from(has_semicolon)];
    // Without its semicolon a name has at least two letters.
    let lengths = (2..=candidate.len()).rev().filter(|&length| candidate.is_char_boundary(length));
    lengths.into_iter().find_map(|length| {
        let entry = NAMED.binary_search_by(|(name, _)| name.as_bytes().cmp(&candidate.as_bytes()[..length])).ok()?;
        result.push_str(&NAMED[entry].1);
        Some(length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_become_characters() {
        for (text, expected) in [
            ("&lt;b&gt; &amp;lt; &eacute;&Eacute", "<b> &lt; éÉ"),
            ("&notit; &notin; &copy2", "¬it; ∉ ©2"),
            ("&#233;&#xE9;&#XE9&#233x", "ééééx"),
            ("&#150; &#x81; &#0; &#xD800; &#x110000; &#99999999999;", "– \u{81} \u{FFFD} \u{FFFD} \u{FFFD} \u{FFFD}"),
            ("a&#1;&#xFFFE;b", "ab"),
            ("& &; &# &#x; &nosuch; &&", "& &; &# &#x; &nosuch; &&"),
            ("AT&T &中; 红&amp球", "AT&T &中; 红&球"),
        ] {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_whole() {
        assert!(NAMED.is_sorted_by(|a, b| a.0.as_bytes() < b.0.as_bytes()));
        assert!(NAMED.len() > 2000 && NAMED.iter().all(|(_, text)| !text.is_empty()));
    }
}
