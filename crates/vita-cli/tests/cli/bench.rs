//! `bench`.

use std::fs::File;

use crate::support::{Folder, check, ended};

#[test]
fn what_was_measured_has_the_agreed_names() {
    let folder = Folder::new();
    folder.add_nano();
    for (module, weights) in [("dit", "dit"), ("umt5", "umt5"), ("vae-decode", "vae")] {
        let weights = format!("{weights}.safetensors");
        let flags = ["--weights", &weights, "--shape", "1,2,2", "--tokens", "3", "--repeat", "3", "--json"];
        let json = folder.success(&[&["bench", module], &flags[..]].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let number = |name: &str| json[name].as_f64().unwrap_or_else(|| panic!("{name} of {module}: {json}"));
        assert!(number("seconds_min") > 0.0 && number("seconds_median") >= number("seconds_min"), "{json}");
        let gflops = number("flops") / number("seconds_min") / 1e9;
        assert!((number("gflops") - gflops).abs() <= 1e-9 * gflops, "{json}");
        if cfg!(target_os = "linux") {
            assert!(number("peak_rss_bytes") > 1e6, "{json}");
        }
    }
}

#[test]
fn random_weights_of_any_size_are_timed_without_a_file() {
    let folder = Folder::new();
    let video = ["--size", "64x32", "--frames", "5"];
    for (module, flags) in [
        ("dit", &[&video[..], &["--tokens", "3", "--guidance", "--numbers", "fp8"]].concat()[..]),
        ("umt5", &["--tokens", "3"]),
        ("clip-vision", &[]),
        ("vae-decode", &video),
        ("vae-encode", &video),
    ] {
        let json = folder.success(&[&["bench", module, "--model", "tiny", "--repeat", "1", "--json"], flags].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(json["gflops"].as_f64().is_some_and(|rate| rate > 0.0), "{module}: {json}");
        assert_eq!((&json["device"], &json["card"]), (&"cpu".into(), &serde_json::Value::Null), "{module}");
    }
}

#[test]
fn a_run_for_each_line_of_stdin() {
    let folder = Folder::new();
    let asked = ["bench", "umt5", "--model", "tiny", "--tokens", "3", "--json", "--asked"];
    let run = |lines: &str| {
        folder.write("lines", lines);
        let stdin = File::open(folder.path().join("lines")).unwrap();
        ended(folder.command(&asked).stdin(stdin).output().unwrap())
    };
    let out = run("\n\n").stdout;
    let mut values = serde_json::Deserializer::from_str(&out).into_iter::<serde_json::Value>().map(Result::unwrap);
    assert_eq!(values.next().unwrap()["ready"], true);
    let each: Vec<_> = values.by_ref().take(2).map(|value| value["seconds"].clone()).collect();
    let last = values.next().unwrap();
    assert_eq!(last["seconds"].as_array().unwrap(), &each);
    assert!(values.next().is_none());
    let nothing = run("");
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.stderr.contains("error: stdin ended before a run was asked for"), "{}", nothing.stderr);
}

#[test]
fn what_cannot_be_timed() {
    let folder = Folder::new();
    for (arguments, want) in [
        (
            &["bench", "dit", "--model", "15b"][..],
            "error: no transformer is called `15b`\n\nhint: choose one of 1.3b, 14b, i2v-14b, a14b-i2v, 5b, tiny",
        ),
        (&["bench", "vae-decode", "--model", "2"], "error: no autoencoder is called `2`"),
        (&["bench", "clip-vision", "--model", "vit-l"], "error: no vision encoder is called `vit-l`"),
        (
            &["bench", "dit", "--model", "tiny", "--size", "830x480"],
            "error: --size has a side that is no multiple of 16",
        ),
        (&["bench", "matrix", "--shape", "1,2"], "error: --shape has 2 numbers, expected 3"),
        (&["bench", "matrix", "--device", "cpu"], "error: this is the rate of a card\n\nhint: give --device cuda"),
        (&["selftest", "--device", "cpu"], "error: the processor has no kernels to compile"),
    ] {
        check(&folder, arguments, want);
    }
}

#[test]
fn the_self_test_names_its_ops() {
    let names = Folder::new().success(&["selftest", "--list"]);
    let names: Vec<&str> = names.lines().collect();
    assert!(names.contains(&"attention") && names.contains(&"linear"), "{names:?}");
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "each once");
}
