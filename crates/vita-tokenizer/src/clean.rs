//! The cleaning that the official Wan code gives a prompt before it is tokenised.

use std::sync::LazyLock;

use crate::html_entities::{WINDOWS_1252, characters, unescape};

/// Half and full width characters and their standard forms, sorted.
static STANDARD_WIDTH: LazyLock<Vec<(char, String)>> = LazyLock::new(|| {
    let lines = include_str!("data/character_width.tsv").lines().filter_map(|line| line.split_once('\t'));
    lines.filter_map(|(code, codes)| Some((characters(code).chars().next()?, characters(codes)))).collect()
});

/// Cleans a prompt as the official code does: typographic repairs, HTML references replaced twice,
/// runs of white space made one space, ends trimmed.
///
/// The official code repairs with the library ftfy. Covered here, in its order: C1 controls read as
/// Windows-1252, Latin ligatures taken apart, half and full width forms made standard, curly quotes
/// made straight, terminal colour codes and invisible control characters removed. **Not covered:**
/// its repair of text that was decoded in the wrong encoding ("mojibake" such as `â€œ`), its Unicode
/// normalisation to NFC (the usual vocabularies normalise to NFKC themselves), and its capital
/// spellings of HTML names (`&EACUTE;`).
pub fn clean(text: &str) -> String {
    let repaired = repair(text);
    let unescaped = unescape(&unescape(&repaired));
    let words = unescaped.split(is_white_space).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn repair(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len());
    for c in text.chars() {
        let c = match c {
            '\u{80}'..='\u{9F}' => WINDOWS_1252[c as usize - 0x80],
            _ => c,
        };
        match c {
            '\u{2BC}' | '\u{2018}'..='\u{201B}' => repaired.push('\''),
            '\u{201C}'..='\u{201F}' => repaired.push('"'),
            '\r' | '\u{2028}' | '\u{2029}' => repaired.push('\n'),
            '\u{3000}' | '\u{FF01}'..='\u{FFEF}' => match STANDARD_WIDTH.binary_search_by_key(&c, |(from, _)| *from) {
                Ok(entry) => repaired.push_str(&STANDARD_WIDTH[entry].1),
                Err(_) => repaired.push(c),
            },
            _ => match ligature(c) {
                Some(letters) => repaired.push_str(letters),
                None => repaired.push(c),
            },
        }
    }
    let mut visible = without_terminal_codes(&repaired);
    visible.retain(|c| !is_invisible_control(c));
    visible
}

/// The letters of a Latin ligature.
fn ligature(c: char) -> Option<&'static str> {
    Some(match c {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'ŉ' => "'n",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        _ => return None,
    })
}

/// Removes ESC `[`, digits and semicolons, one letter.
fn without_terminal_codes(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1B[") {
        result.push_str(&rest[..at]);
        let code = &rest[at + 2..];
        let number_bytes = code.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b';')).count();
        let ends_in_letter = code[number_bytes..].starts_with(|c: char| c.is_ascii_alphabetic());
        rest = if ends_in_letter { &code[number_bytes + 1..] } else { code };
        if !ends_in_letter {
            result.push_str("\x1B[");
        }
    }
    result + rest
}

/// Characters of Unicode TR 20, "not suitable for use with markup", that have no visible effect.
fn is_invisible_control(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0B' | '\x0E'..='\x1F' | '\x7F' | '\u{206A}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFC}')
}

/// White space in the sense of Python's `str`, which counts four separators more than Unicode does.
fn is_white_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1C'..='\x1F')
}
