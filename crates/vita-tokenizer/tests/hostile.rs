//! Vocabularies that are cut, bent or made to hurt: each is an error that says where, or a
//! tokenizer that works on; none panics or takes memory beyond its size.

use vita_base::{Hint, Report};
use vita_tokenizer::{Error, Tokenizer};

const TEXT: &str = "a red ball 红球 ﬁ… e\u{301} 👍🏽 \u{0} 向左移动 \u{3000} \u{10FFFF}";

#[test]
fn every_cut_of_a_model_is_survived() {
    let whole = data("user_defined.model");
    for length in 0..whole.len() {
        survive(&whole[..length]);
    }
    let json = data("user_defined.tokenizer.json");
    for length in (0..json.len()).step_by(7) {
        let error = Tokenizer::from_bytes(&json[..length]).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{length}: {error}");
    }
}

#[test]
fn flipped_bytes_are_survived() {
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut draw = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for file in ["user_defined.model", "byte_fallback.model", "suffix.model", "user_defined.tokenizer.json"] {
        let whole = data(file);
        for _ in 0..1500 {
            let mut bytes = whole.clone();
            for _ in 0..1 + draw(4) {
                let at = draw(bytes.len());
                bytes[at] = draw(256) as u8;
            }
            survive(&bytes);
        }
    }
}

#[test]
fn bent_character_tables_are_survived_or_refused() {
    let whole = data("user_defined.model");
    let table = charsmap_of(&whole);
    let model = |table: &[u8]| [piece("<unk>", 2), piece("a", 1), with_table(table)].concat();
    Tokenizer::from_sentencepiece(&model(table)).unwrap();
    for at in 0..table.len() {
        for byte in [0, 0x7F, 0x80, 0xFF] {
            let mut bent = table.to_vec();
            bent[at] = byte;
            survive(&model(&bent));
        }
    }
    for length in 1..table.len() {
        // The whole trie is there up to the last replacement's end.
        let error = Tokenizer::from_sentencepiece(&model(&table[..length])).unwrap_err().to_string();
        assert!(error.contains("the character table is broken"), "{length}: {error}");
    }
}

#[test]
fn errors_say_what_and_where() {
    let unknown = piece("<unk>", 2);
    let letter = piece("a", 1);
    for (bytes, expected) in [
        (vec![], "damaged sentencepiece model: no unknown piece, at the end"),
        (b"not a model".to_vec(), "damaged sentencepiece model: no field starts with the tag 0x6e, at byte 0"),
        // A length of 2^63 - 1.
        ([&[0x0A][..], &[0xFF; 8], &[0x7F]].concat(), "damaged sentencepiece model: 9223372036854775807 bytes are announced, 0 are left, at byte 10"),
        (vec![0x0A; 3], "damaged sentencepiece model: 10 bytes are announced, 1 are left, at byte 2"),
        (vec![0xFF; 20], "damaged sentencepiece model: a number of more than 64 bits, at byte 10"),
        (unknown.clone(), "damaged sentencepiece model: no pieces to write text with, at the end"),
        ([&unknown[..], &letter, &letter].concat(), "damaged sentencepiece model: a piece that was already defined, at piece 2"),
        ([&unknown[..], &unknown].concat(), "damaged sentencepiece model: a second unknown piece, at piece 1"),
        ([&unknown[..], &piece("", 1)].concat(), "damaged sentencepiece model: an empty piece, at piece 1"),
        ([&unknown[..], &piece(&"a".repeat(5000), 1)].concat(), "damaged sentencepiece model: a piece of more than 4096 bytes, at piece 1"),
        ([&unknown[..], &piece("a", 9)].concat(), "damaged sentencepiece model: a piece of the unknown type 9, at byte 16"),
        ([&unknown[..], &letter, &[0x12, 2, 0x18, 2]].concat(), "unsupported sentencepiece model: its type is byte-pair (BPE), expected unigram"),
        (
            [&unknown[..], &letter, &[0x12, 3, 0x98, 2, 1]].concat(),
            "damaged sentencepiece model: no piece for the byte <0x00>, although unknown characters are to become bytes, at the end",
        ),
        (
            [&unknown[..], &letter, &with_table(&[0xFF; 12])].concat(),
            "damaged sentencepiece model: the character table is broken (a trie of 4294967295 bytes in a table of 12), at byte 20",
        ),
        (b"{}".to_vec(), "damaged tokenizer.json: missing field `model` at line 1 column 2, at line 1 column 2"),
        (json("BPE", r#"{"a": 1}"#, "null"), "unsupported tokenizer.json: its model is BPE, expected Unigram"),
        (json("Unigram", r#"[["a", -1]]"#, "null"), "damaged tokenizer.json: no unknown piece is named, at model.unk_id"),
        (json("Unigram", r#"[["<unk>", 0], ["a", -1]]"#, r#"{"type": "Lowercase"}"#), r#"unsupported tokenizer.json: the normalizer {"type":"Lowercase"}"#),
        (
            json("Unigram", r#"[["<unk>", 0], ["a", -1]]"#, r#"{"type": "Precompiled", "precompiled_charsmap": "!"}"#),
            "damaged tokenizer.json: Invalid symbol 33, offset 0., at normalizer.precompiled_charsmap",
        ),
        (
            br#"{"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0]]}, "added_tokens": [{"id": 9, "content": "x"}]}"#.to_vec(),
            "damaged tokenizer.json: ids 1 to 8 are missing, at added token 9 (`x`)",
        ),
    ] {
        let error = Tokenizer::from_bytes(&bytes).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_report_has_the_hint_apart() {
    let report = Report::from(Tokenizer::from_bytes(b"").unwrap_err()).to_string();
    assert_eq!(
        report,
        "error: damaged sentencepiece model: no unknown piece, at the end\n\n\
         hint: download the file again; a whole spiece.model or tokenizer.json of UMT5 works"
    );
}

fn survive(bytes: &[u8]) {
    if let Ok(tokenizer) = Tokenizer::from_bytes(bytes) {
        let ids = tokenizer.encode(TEXT);
        assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    }
}

/// A serialised piece of the given type.
fn piece(text: &str, kind: u8) -> Vec<u8> {
    field(1, &[field(1, text.as_bytes()), vec![0x18, kind]].concat())
}

/// A serialised normaliser with this character table.
fn with_table(table: &[u8]) -> Vec<u8> {
    field(3, &field(2, table))
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut result = vec![number << 3 | 2];
    while length >= 0x80 {
        result.push(length as u8 | 0x80);
        length >>= 7;
    }
    result.push(length as u8);
    result.extend_from_slice(bytes);
    result
}

/// The character table of a model: the normaliser is its only large field near the end.
fn charsmap_of(model: &[u8]) -> &[u8] {
    let name = b"\x0A\x0Cuser_defined\x12";
    let after_name = model.windows(name.len()).position(|window| window == name).map(|at| at + name.len()).unwrap();
    let length = usize::from(model[after_name] & 0x7F) | usize::from(model[after_name + 1]) << 7;
    &model[after_name + 2..after_name + 2 + length]
}

fn json(kind: &str, vocabulary: &str, normalizer: &str) -> Vec<u8> {
    let unk_id = if vocabulary.contains("<unk>") { "0" } else { "null" };
    format!(
        r#"{{"model": {{"type": "{kind}", "unk_id": {unk_id}, "vocab": {vocabulary}}}, "normalizer": {normalizer}}}"#
    )
    .into_bytes()
}

fn data(file: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}
