//! `probe`, held to what PyTorch answered.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use vita_tensor::{DType, Tensor};

use crate::support::{Folder, Tensors, tensors};

/// For a module in `f32`, whatever its weights are stored as: far below what another formula would give.
const ERROR_MAX: f64 = 2e-5;

#[test]
fn every_network_answers_like_pytorch() {
    for (module, fixtures, prefix) in [
        (
            "dit",
            &["dit_t2v", "dit_t2v_two_heads", "dit_ti2v", "dit_i2v_image_branch", "dit_i2v_36_channels", "dit_flf2v"][..],
            "",
        ),
        ("umt5", &["umt5", "umt5_official_names"], ""),
        ("vae-decode", &["vae21_dim8", "vae21_dim5", "vae22_dim4", "vae22_dim8"], "decode"),
        ("vae-encode", &["vae21_dim8", "vae21_dim5", "vae22_dim4", "vae22_dim8"], "encode"),
        ("clip-vision", &["clip_vision", "clip_vision_official_names", "clip_vision_open_clip_names"], "batch"),
    ] {
        for fixture in fixtures {
            let folder = Folder::new();
            let all = tensors(&fixture_path(fixture));
            folder.write_tensors("weights.safetensors", &below(&all, "w."));
            let cases: BTreeSet<&str> =
                all.keys().filter_map(|name| name.strip_prefix("in.")?.split('.').next()).collect();
            for case in cases.iter().filter(|case| case.starts_with(prefix)) {
                folder.write_tensors("in.safetensors", &below(&all, &format!("in.{case}.")));
                let out = run(&folder, module, &[]);
                let error = relative_error(&out, &all[&format!("out.{case}.out")]);
                assert!(error <= ERROR_MAX, "{module} {fixture} {case}: {error}");
            }
        }
    }
}

#[test]
fn an_image_is_prepared_for_the_image_encoder() {
    let folder = Folder::new();
    let all = tensors(&fixture_path("clip_vision"));
    folder.write_tensors("weights.safetensors", &below(&all, "w."));
    for (case, flags) in [("image_48x35_center", &[][..]), ("image_90x41_none", &["--crop", "none"])] {
        folder.write_tensors("in.safetensors", &below(&all, &format!("in.{case}.")));
        // A pixel half way between two 255ths may be rounded to either.
        let error = relative_error(&run(&folder, "clip-vision", flags), &all[&format!("out.{case}.out")]);
        assert!(error <= 1e-3, "{case}: {error}");
    }
}

#[test]
fn a_whole_run_ends_like_pytorch() {
    let runs = fixture_path("sample_t2v");
    let all = tensors(&runs);
    let config: serde_json::Value = serde_json::from_str(&metadata(&runs, "config")).unwrap();
    let folder = Folder::new();
    let weights = tensors(&fixture_path("dit_t2v"));
    folder.write_tensors("weights.safetensors", &below(&weights, "w."));
    let cases = config["cases"].as_object().expect("cases of the fixture");
    assert!(!cases.is_empty());
    for (case, settings) in cases {
        folder.write_tensors("in.safetensors", &below(&all, &format!("in.{case}.")));
        let mut flags = Vec::new();
        for (name, value) in settings.as_object().expect("settings of a run") {
            let flag = format!("--{}", name.replace('_', "-"));
            match value {
                serde_json::Value::Bool(true) if name == "leftover_noise" => flags.push(flag),
                serde_json::Value::Bool(_) | serde_json::Value::Null => {}
                serde_json::Value::String(text) => flags.extend([flag, text.clone()]),
                serde_json::Value::Array(sizes) => {
                    let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
                    flags.extend([flag, sizes.join(",")]);
                }
                number => flags.extend([flag, number.to_string()]),
            }
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let error = relative_error(&run(&folder, "sample", &flags), &all[&format!("out.{case}.out")]);
        assert!(error <= 1e-3, "{case}: {error}");
    }
}

/// Caches, skipped layers, CFG-Zero*, Enhance-A-Video, NAG and RIFLEx, each beside the same formula in PyTorch.
#[test]
fn what_is_done_at_some_steps_is_done_like_pytorch() {
    let runs = fixture_path("sample_features");
    let all = tensors(&runs);
    let config: serde_json::Value = serde_json::from_str(&metadata(&runs, "config")).unwrap();
    let folder = Folder::new();
    folder.write_tensors("weights.safetensors", &below(&tensors(&fixture_path("dit_t2v")), "w."));
    let plain = &all["out.plain.out"];
    let cases = config["cases"].as_object().expect("cases of the fixture");
    assert_eq!(cases.len(), 13);
    for (case, facts) in cases {
        let mut inputs = below(&all, "in.plain.");
        inputs.extend(below(&all, &format!("in.{case}.")));
        folder.write_tensors("in.safetensors", &inputs);
        let flags: Vec<&str> = facts["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap()).collect();
        let want = &all[&format!("out.{case}.out")];
        let error = relative_error(&run(&folder, "sample", &flags), want);
        assert!(error <= 1e-4, "{case}: {error}");
        assert!(case == "plain" || relative_error(want, plain) > 0.01, "{case} changes nothing");
    }
}

#[test]
fn a_given_first_frame_stays_and_experts_take_turns() {
    let folder = Folder::new();
    folder.add_nano_files(&["ti2v-dit", "i2v-high", "i2v-low"]);
    let wave = |dims: &[usize], turn: f64| {
        let count = dims.iter().product();
        Tensor::from_vec((0..count).map(|i: usize| ((i * i % 8191) as f64 * turn).sin() as f32).collect(), dims)
    };
    let prompts = [("context", wave(&[1, 3, 128], 0.3)), ("context_negative", wave(&[1, 2, 128], 0.7))];
    let sample = |weights: &str, more: &[(&str, Tensor)], shape: &str, flags: &[&str]| {
        let inputs = prompts.iter().chain(more).map(|(name, tensor)| ((*name).to_owned(), tensor.clone()));
        folder.write_tensors("in.safetensors", &inputs.collect());
        let weights = format!("{weights}.safetensors");
        let files = ["--weights", &weights, "--inputs", "in.safetensors", "--outputs", "out.safetensors"];
        let run = ["--shape", shape, "--seed", "1", "--steps", "4", "--cfg", "3,1", "--shift", "5"];
        folder.success(&[&["probe", "sample"], &files[..], &run, flags].concat());
        tensors(&folder.path().join("out.safetensors")).remove("out").expect("tensor `out`")
    };

    let first = wave(&[1, 48, 1, 4, 2], 0.9);
    let out = sample("ti2v-dit", &[("image_latent", first.clone())], "1,48,3,4,2", &[]);
    assert!(relative_error(&out.narrow(2, 0, 1).to_contiguous_f32(), &first) < 1e-6);
    // The same, said by a mask.
    let mut latent = Tensor::zeros([1, 48, 3, 4, 2]);
    latent.f32s_mut().chunks_exact_mut(24).zip(first.f32s().chunks_exact(8)).for_each(|(clip, first)| {
        clip[..8].copy_from_slice(first);
    });
    let mask = Tensor::from_vec(vec![0.0, 1.0, 1.0], [1, 3]);
    let masked = sample("ti2v-dit", &[("latent", latent), ("mask", mask)], "1,48,3,4,2", &[]);
    assert_eq!(masked.to_vec(), out.to_vec());

    let known = [("image_latent", wave(&[1, 16, 2, 4, 2], 0.9))];
    let run = |weights: &str, flags: &[&str]| sample(weights, &known, "1,16,2,4,2", flags).to_vec();
    let (high, low) = (run("i2v-high", &[]), run("i2v-low", &[]));
    let pair = |flags: &[&str]| run("i2v-high", &[&["--weights-low", "i2v-low.safetensors"], flags].concat());
    assert_eq!(pair(&["--switch-step", "0"]), low);
    assert_eq!(pair(&["--switch-step", "4"]), high);
    let both = pair(&["--switch-step", "2"]);
    assert!(both != high && both != low);
    // Levels of shift 5: 1, 0.94, 0.83, 0.63; below 0.9 begins with the third.
    assert_eq!(pair(&[]), both);
}

#[test]
fn noise_is_torchs() {
    let folder = Folder::new();
    folder.success(&["probe", "noise", "--seed", "42", "--shape", "2,2,4", "--outputs", "out.safetensors"]);
    let out = &tensors(&folder.path().join("out.safetensors"))["out"];
    assert_eq!(*out.dims(), [2, 2, 4]);
    // torch.randn(16, generator=torch.Generator().manual_seed(42))
    assert_eq!(out.to_vec()[..4], [1.926_915_3, 1.487_284_1, 0.900_717_2, -2.105_521]);
}

#[test]
fn sigmas_are_json() {
    let sigmas = |flags: &[&str]| {
        let text = Folder::new().success(&[&["probe", "sigmas", "--steps", "4"], flags].concat());
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    assert_eq!(sigmas(&[]), json!({"sigmas": [1.0, 0.75, 0.5, 0.25, 0.0]}));
    assert_eq!(sigmas(&["--start-step", "1", "--end-step", "2"]), json!({"sigmas": [0.75, 0.0]}));
    assert_eq!(sigmas(&["--start-step", "1", "--end-step", "2", "--leftover-noise"]), json!({"sigmas": [0.75, 0.5]}));
}

#[test]
fn ids_come_from_any_form_of_a_vocabulary() {
    let folder = Folder::new();
    folder.add_nano();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vita-tokenizer/tests/data");
    let ids = |file: &Path, flags: &[&str]| {
        let file = file.display().to_string();
        let text =
            folder.success(&[&["probe", "tokenize", "--text", "a (b:1.5)", "--tokenizer", &file], flags].concat());
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let of_json = ids(&data.join("byte_fallback.tokenizer.json"), &[]);
    assert!(of_json.as_array().is_some_and(|ids| !ids.is_empty()));
    assert_eq!(of_json, ids(&data.join("byte_fallback.model"), &[]));
    let prompt = ids(&folder.path().join("umt5.safetensors"), &["--style", "comfy", "--weights"]);
    let prompt = prompt.as_array().unwrap();
    assert_eq!((prompt.len(), &prompt[0][1], &prompt[511]), (512, &json!(1.0), &json!([0, 1.0])));
    assert!(prompt.iter().any(|pair| pair[1] == json!(1.5)));
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let folder = Folder::new();
    folder.add_nano();
    let zeros = |dims: &[usize]| Tensor::zeros(dims);
    let ids = |ids: &[i64]| {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        Tensor::from_bytes(bytes.into(), DType::I64, &[1, ids.len()]).unwrap()
    };
    let latent = || zeros(&[1, 16, 1, 2, 2]);
    type Inputs = Vec<(&'static str, Tensor)>;
    let cases: Vec<(&str, &str, Inputs, &str)> = vec![
        ("dit", "dit", vec![("x", latent())], "`in.safetensors`: `timestep` is missing"),
        (
            "dit",
            "dit",
            vec![("x", zeros(&[16, 1, 2, 2]))],
            "the input `x` is [16, 1, 2, 2], expected [B, C, T, H, W], none of them 0",
        ),
        (
            "dit",
            "dit",
            vec![("x", latent()), ("timestep", zeros(&[2])), ("context", zeros(&[1, 3, 128]))],
            "the input `timestep` is [2, 1], expected a batch of 1",
        ),
        (
            "dit",
            "dit",
            vec![("x", latent()), ("timestep", zeros(&[1])), ("context", zeros(&[1, 3, 99]))],
            "the prompt's embedding is [1, 99], expected [tokens, 128]",
        ),
        (
            "umt5",
            "umt5",
            vec![("input_ids", zeros(&[1, 2]))],
            "the input `input_ids` is of type f32, expected integers",
        ),
        ("umt5", "umt5", vec![("input_ids", ids(&[-1]))], "the input `input_ids` holds numbers below 0"),
        ("umt5", "umt5", vec![("input_ids", ids(&[5, 999_999]))], "999999"),
        ("vae-decode", "vae", vec![("z", zeros(&[1, 4, 1, 2, 2]))], "the latent is [4, 1, 2, 2], expected [16,"),
        ("vae-encode", "vae", vec![("x", zeros(&[1, 3, 1, 9, 8]))], "the video is 8x9 pixels, not multiples of 8"),
    ];
    for (module, weights, inputs, want) in cases {
        let inputs: Tensors = inputs.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
        folder.write_tensors("in.safetensors", &inputs);
        let weights = format!("{weights}.safetensors");
        let flags = ["--weights", &weights, "--inputs", "in.safetensors", "--outputs", "out.safetensors"];
        let ended = folder.run(&[&["probe", module], &flags[..]].concat());
        assert_eq!(ended.code, Some(1), "{module}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains(want), "{module}: {}", ended.stderr);
    }
    assert!(!folder.names().contains(&"out.safetensors".to_owned()));
}

fn run(folder: &Folder, module: &str, flags: &[&str]) -> Tensor {
    let files = ["--weights", "weights.safetensors", "--inputs", "in.safetensors", "--outputs", "out.safetensors"];
    folder.success(&[&["probe", module], &files[..], flags].concat());
    tensors(&folder.path().join("out.safetensors")).remove("out").expect("tensor `out`")
}

fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../vita-models/tests/fixtures/{name}.safetensors"))
}

fn metadata(path: &Path, key: &str) -> String {
    vita_weights::Checkpoint::open(path).unwrap().metadata()[key].clone()
}

/// The tensors whose names start so, without that start.
fn below(all: &Tensors, start: &str) -> Tensors {
    let named = all.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(start)?.to_owned(), tensor.clone())));
    named.collect()
}

/// Norm of the difference over norm of the reference.
fn relative_error(out: &Tensor, want: &Tensor) -> f64 {
    assert_eq!(out.dims(), want.dims());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let (out, want) = (out.to_vec(), want.to_vec());
    let mut differences = out.iter().zip(&want).map(|(a, b)| f64::from(*a) - f64::from(*b));
    norm(&mut differences) / norm(&mut want.iter().map(|&value| f64::from(value)))
}
