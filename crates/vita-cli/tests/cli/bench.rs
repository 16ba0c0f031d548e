//! `bench`.

use crate::support::Folder;

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
