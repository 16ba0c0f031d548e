//! Prompts: weighted parts are tokenised apart, one end token, padding, limits, warnings.

use vita_tokenizer::{Cleaning, Error, PromptOptions, PromptTokens, Tokenizer, Warning};

const EOS: u32 = 1;
const PAD: u32 = 0;

#[test]
fn parts_are_tokenised_apart_and_end_once() {
    check("", &[]);
    check("a red ball", &[("a red ball", 1.0)]);
    check("a (red:1.5) ball", &[("a ", 1.0), ("red", 1.5), (" ball", 1.0)]);
    check("((红球)) 向左", &[("红球", 1.21), (" 向左", 1.0)]);
    check(r"a \(red\) ball", &[("a (red) ball", 1.0)]);
    // A word cut by a parenthesis starts anew, with a space of its own.
    check("mov(ing:2)", &[("mov", 1.0), ("ing", 2.0)]);
}

#[test]
fn weights_are_those_of_the_words() {
    let prompt = comfy("a (red:1.5)");
    assert!(prompt.is_weighted());
    assert!(!comfy("a red").is_weighted());
    let padded = prompt.padded(512);
    assert_eq!(padded.len(), 512);
    assert_eq!(padded[prompt.tokens.len() - 1], (EOS, 1.0));
    assert!(padded[prompt.tokens.len()..].iter().all(|&token| token == (PAD, 1.0)));
    assert_eq!(prompt.padded(2), prompt.tokens);
}

#[test]
fn without_a_limit_nothing_is_cut() {
    let prompt = comfy(&"red ".repeat(2000));
    assert!(prompt.tokens.len() > 2000 && prompt.warnings.is_empty());
}

#[test]
fn the_official_way_cleans_cuts_and_knows_no_markup() {
    let tokenizer = tokenizer("nmt_nfkc.model");
    let long = tokenizer.prompt(&"red ".repeat(2000), PromptOptions::official()).unwrap();
    assert_eq!(long.tokens.len(), 512);
    assert_eq!(long.tokens[511], (EOS, 1.0));
    let whole = tokenizer.encode("red ".repeat(2000).trim());
    assert_eq!(long.ids()[..511], whole[..511]);
    assert_eq!(long.warnings, [Warning::Truncated { kept: 512, dropped: whole.len() - 511 }]);

    let prompt = tokenizer.prompt(" a &amp;lt; (red:1.5) ", PromptOptions::official()).unwrap();
    assert_eq!(prompt.ids(), [tokenizer.encode("a < (red:1.5)"), vec![EOS]].concat());
    assert!(!prompt.is_weighted());
}

#[test]
fn warnings_read_well() {
    let options = PromptOptions { cleaning: Cleaning::None, has_markup: true, token_count_max: Some(3) };
    let prompt = tokenizer("nmt_nfkc.model").prompt("embedding:bad a red ball moves slowly", options).unwrap();
    let warnings: Vec<_> = prompt.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings[0], "`embedding:bad` is ignored: textual inversions are not supported");
    assert!(warnings[1].starts_with("the prompt is cut to 3 tokens; the last "), "{warnings:?}");
}

#[test]
fn prompts_that_cannot_be_are_errors() {
    let no_pad = tokenizer("identity.model").prompt("a", PromptOptions::comfy());
    assert_eq!(no_pad.unwrap_err().to_string(), "the vocabulary has no padding token");
    let limit = PromptOptions { token_count_max: Some(0), ..PromptOptions::comfy() };
    let no_room = tokenizer("nmt_nfkc.model").prompt("a", limit);
    assert!(matches!(no_room, Err(Error::Length(0))));
}

#[track_caller]
fn check(text: &str, parts: &[(&str, f32)]) {
    let tokenizer = tokenizer("nmt_nfkc.model");
    let prompt = comfy(text);
    let ids: Vec<u32> = parts.iter().flat_map(|(words, _)| tokenizer.encode(words)).chain([EOS]).collect();
    assert_eq!(prompt.ids(), ids, "{text}");
    let expected = parts.iter().flat_map(|(words, weight)| vec![*weight; tokenizer.encode(words).len()]).chain([1.0]);
    for ((_, found), expected) in prompt.tokens.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{text}: {found}, expected {expected}");
    }
}

fn comfy(text: &str) -> PromptTokens {
    tokenizer("nmt_nfkc.model").prompt(text, PromptOptions::comfy()).unwrap()
}

fn tokenizer(file: &str) -> Tokenizer {
    let path = format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
    Tokenizer::from_bytes(&std::fs::read(path).unwrap()).unwrap()
}
