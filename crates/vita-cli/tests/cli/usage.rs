//! Command lines that make no sense, and the help.

use std::time::Instant;

use crate::support::Folder;

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2_and_says_why() {
    let cases: &[(&[&str], &str)] = &[
        (&["generate"], "required arguments were not provided:\n  <PROMPT>"),
        (
            &["generate", "x", "--size", "64"],
            "'64' for '--size <WxH>': expected WIDTHxHEIGHT in pixels, such as 832x480",
        ),
        (&["generate", "x", "--size", "18446744073709551600x16"], "a side has at most 16384 pixels"),
        (&["generate", "x", "--frames", "4000000001"], "4000000001 is not in 0..=100000"),
        (&["generate", "x", "--tile", "1"], "1 is not in 16..=16384"),
        (&["generate", "x", "--fps", "0"], "the frame rate is 0, expected from 0.001 to 1000, such as 16"),
        (&["generate", "x", "--sampler", "eulr"], "[possible values: euler, euler_cfg_pp, euler_ancestral,"),
        (&["generate", "x", "--scheduler", "betta"], "tip: a similar value exists: 'beta'"),
        (
            &["generate", "x", "--model", "wan3"],
            "[possible values: nano-t2v, nano-i2v, nano-i2v-a14b, nano-ti2v, wan2.1-t2v-1.3b, wan2.1-t2v-14b, ",
        ),
        (&["generate", "x", "--dit", "a"], "--text-encoder <FILE>"),
        (&["generate", "x", "--last-image", "a.png"], "--image <FILE>"),
        (&["generate", "x", "--denoise", "0.5"], "--video <FILE>"),
        (&["generate", "x", "--image", "a.png", "--video", "a.mp4"], "cannot be used with"),
        (&["generate", "x", "--boundary", "0.9", "--switch-step", "3"], "cannot be used with"),
        (&["generate", "x", "--memory", "lots"], "expected a size such as 8GiB or 500MB"),
        (
            &["probe", "noise", "--seed", "1", "--shape", "1,0", "--outputs", "x"],
            "expected sizes from 1 on with commas",
        ),
        (&["generate", "x", "--device", "gpu"], "a device is `auto`, `cpu`, `cuda`, or `cuda:` and a card's number"),
        (&["serve", "--device", "cuda:1,cuda:1"], "cuda:1 is named twice"),
        (&["serve", "--device", "cuda", "--cpu"], "cannot be used with"),
        (&["serve", "--cuda-device", "1", "--cpu"], "cannot be used with"),
        (&["probe", "clip"], "unrecognized subcommand 'clip'"),
        (&["bench", "dit"], "--weights <FILE>"),
        (&["inspect"], "<FILE>..."),
        (&["run"], "<WORKFLOW>"),
        (&["run", "w.json", "--set", "seed=7"], "expected NODE.INPUT=VALUE, such as 3.seed=7"),
    ];
    let folder = Folder::new();
    for (arguments, want) in cases {
        let ended = folder.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(want), "{arguments:?}: {}", ended.stderr);
    }
    assert!(folder.names().is_empty());
}

#[test]
fn help_names_every_command_at_once() {
    let folder = Folder::new();
    let start = Instant::now();
    let help = folder.success(&["--help"]);
    // Generous: the machine may be busy. It takes a few milliseconds.
    assert!(start.elapsed().as_millis() < 1000);
    for command in ["generate", "run", "probe", "bench", "inspect"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
}

#[test]
fn every_flag_has_a_help() {
    let folder = Folder::new();
    for command in
        [&["generate"][..], &["run"], &["inspect"], &["bench", "dit"], &["probe", "sample"], &["probe", "tokenize"]]
    {
        let help = folder.success(&[command, &["-h"]].concat());
        let flags = help.lines().filter(|line| line.trim_start().starts_with('-'));
        for flag in flags {
            // The text stands behind two blanks, or on the next line, which then starts without a dash.
            let described = flag.trim_start().contains("  ") || help.contains(&format!("{flag}\n          "));
            assert!(described, "{command:?}: {flag}");
        }
    }
}
