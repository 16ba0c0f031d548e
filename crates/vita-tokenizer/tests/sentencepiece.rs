//! Ids, special ids and sizes are sentencepiece's, for vocabularies of every kind and in both file
//! formats. The fixtures come from `tools/reference/tokenizer_fixtures.py write`.

use serde::Deserialize;
use serde_json::{Value, json};
use vita_tokenizer::{SpecialIds, Tokenizer};

#[derive(Deserialize)]
struct Expected {
    special: Special,
    vocab_size: usize,
    ids: Vec<Vec<u32>>,
}

/// What sentencepiece makes of `strange`, `times` times, and `rest`.
#[derive(Deserialize)]
struct Long {
    strange: String,
    times: usize,
    rest: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Special {
    pad: Option<u32>,
    eos: Option<u32>,
    bos: Option<u32>,
    unk: u32,
}

/// The character rules, special ids and flags that real vocabularies have, UMT5's first.
#[test]
fn nmt_nfkc() {
    assert_eq!(check("nmt_nfkc", "nmt_nfkc.model"), 2000);
}

/// So improbable a text that f32 has few bits left for the differences between cuts.
#[test]
fn long_texts() {
    let Long { strange, times, rest, ids } = serde_json::from_slice(&data("long.json")).unwrap();
    let tokenizer = Tokenizer::from_bytes(&data("nmt_nfkc.model")).unwrap();
    assert_eq!(tokenizer.encode(&(strange.repeat(times) + &rest)), ids);
}

#[test]
fn user_defined_symbols() {
    check("user_defined", "user_defined.model");
    check("user_defined", "user_defined.tokenizer.json");
}

#[test]
fn byte_fallback() {
    check("byte_fallback", "byte_fallback.model");
    check("byte_fallback", "byte_fallback.tokenizer.json");
}

/// No rules, no dummy prefix, every space kept, pieces across words, sentencepiece's own special ids.
#[test]
fn identity() {
    check("identity", "identity.model");
}

/// Spaces belong to the word before; the end token has a name of its own.
#[test]
fn whitespace_as_suffix() {
    check("suffix", "suffix.model");
}

/// The shape that transformers' own T5 tokenizers have on the hub, older and newer.
#[test]
fn tokenizer_json_of_t5() {
    let lines: Vec<String> = serde_json::from_slice(&data("lines.json")).unwrap();
    let expected: Expected = serde_json::from_slice(&data("user_defined.ids.json")).unwrap();
    for metaspace in [
        json!({"type": "Metaspace", "replacement": "\u{2581}", "add_prefix_space": true}),
        json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true}),
    ] {
        let mut file: Value = serde_json::from_slice(&data("user_defined.tokenizer.json")).unwrap();
        file["normalizer"] = file["normalizer"]["normalizers"][0].take();
        file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]});
        let tokenizer = Tokenizer::from_bytes(file.to_string().as_bytes()).unwrap();
        for (line, ids) in lines.iter().zip(&expected.ids) {
            assert_eq!(&tokenizer.encode(line), ids, "{line:?}");
        }
    }
}

/// A `tokenizer.json` of UMT5 is around whose writer lost the text of two pieces.
#[test]
fn pieces_without_text_are_never_used() {
    let lines: Vec<String> = serde_json::from_slice(&data("lines.json")).unwrap();
    let expected: Expected = serde_json::from_slice(&data("user_defined.ids.json")).unwrap();
    let mut file: Value = serde_json::from_slice(&data("user_defined.tokenizer.json")).unwrap();
    let vocabulary = file["model"]["vocab"].as_array_mut().unwrap();
    vocabulary.extend([json!(["", -0.5]), json!(["", -9.0])]);
    let tokenizer = Tokenizer::from_bytes(file.to_string().as_bytes()).unwrap();
    assert_eq!(tokenizer.vocab_size(), expected.vocab_size + 2);
    for (line, ids) in lines.iter().zip(&expected.ids) {
        assert_eq!(&tokenizer.encode(line), ids, "{line:?}");
    }
}

#[test]
fn pieces_have_names() {
    let tokenizer = Tokenizer::from_bytes(&data("byte_fallback.model")).unwrap();
    assert_eq!(tokenizer.piece(1).as_deref(), Some("</s>"));
    assert_eq!(tokenizer.piece(4).as_deref(), Some("<0x00>"));
    assert_eq!(tokenizer.piece(600), None);
}

/// How many lines were compared.
#[track_caller]
fn check(name: &str, file: &str) -> usize {
    let lines: Vec<String> = serde_json::from_slice(&data("lines.json")).unwrap();
    let expected: Expected = serde_json::from_slice(&data(&format!("{name}.ids.json"))).unwrap();
    let tokenizer = Tokenizer::from_bytes(&data(file)).unwrap();

    let Special { pad, eos, bos, unk } = expected.special;
    assert_eq!(tokenizer.special(), SpecialIds { pad, eos, bos, unk });
    assert_eq!(tokenizer.vocab_size(), expected.vocab_size);
    assert!((500..=lines.len()).contains(&expected.ids.len()));
    for (line, ids) in lines.iter().zip(&expected.ids) {
        assert_eq!(&tokenizer.encode(line), ids, "{file}: {line:?}");
    }
    expected.ids.len()
}

fn data(file: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
