//! The official cleaning against ftfy and Python's `html`, on the lines where `clean` promises it.

use serde::Deserialize;
use vita_tokenizer::clean;

#[derive(Deserialize)]
struct Case {
    text: String,
    clean: String,
    /// False where ftfy repairs mojibake or NFC changes the text, which `clean` does not do.
    covered: bool,
}

#[test]
fn cleans_as_the_official_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/clean.json");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let covered: Vec<_> = cases.iter().filter(|case| case.covered).collect();
    assert!(covered.len() * 10 >= cases.len() * 9, "only {} of {} lines are covered", covered.len(), cases.len());
    for case in covered {
        assert_eq!(clean(&case.text), case.clean, "{:?}", case.text);
    }
}

#[test]
fn says_what_it_does_in_small() {
    for (text, expected) in [
        ("  a \t red\n\u{3000}ball ", "a red ball"),
        ("“it’s”", "\"it's\""),
        ("&amp;amp;lt; &eacute;", "&lt; é"),
        ("ＡＢ，ｳ ﬁne", "AB,ウ fine"),
        ("\u{1B}[31mred\u{1B}[0m \u{1B}[x\u{0}\u{FEFF}", "red"),
        ("\u{93}quoted\u{94}\u{85}", "\"quoted\"…"),
        ("", ""),
    ] {
        assert_eq!(clean(text), expected, "{text:?}");
    }
}
