//! GGUF files, torch's archives and files in parts. `tools/reference/format_fixtures.py` made the files: element i of
//! every tensor is i / 8 - 3.

mod common;

use std::fs;

use common::{f32s, failure, file};
use vita_tensor::{DType, Tensor};
use vita_weights::{Checkpoint, Role};

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(format!("{}/tests/files/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/files/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[track_caller]
fn assert_counts(tensor: &Tensor, first: usize, bound: f32) {
    for (i, value) in tensor.to_vec().into_iter().enumerate() {
        let want = (first + i) as f32 / 8.0 - 3.0;
        assert!((value - want).abs() <= bound, "element {i}: {value}, want {want}");
    }
}

#[test]
fn torch_archives_give_their_tensors() {
    for name in ["plain.pth", "wrapped.ckpt"] {
        let checkpoint = open(name);
        for (tensor, dims, dtype, first) in [
            ("a.weight", &[2, 3][..], DType::F32, 0),
            ("b.bias", &[5], DType::F32, 0),
            ("c.weight", &[2, 1, 2, 2, 2], DType::F32, 0),
            ("half", &[2, 3], DType::F16, 0),
            ("brain", &[2, 3], DType::BF16, 0),
            ("part", &[2, 3], DType::F32, 3),
            ("parameter", &[2, 3], DType::F32, 0),
        ] {
            let got = checkpoint.get(tensor, dims).unwrap();
            assert_eq!(got.dtype(), dtype, "{name}: {tensor}");
            assert_counts(&got, first, 0.0);
        }
        assert_eq!(checkpoint.tensors().len(), 7, "{name}");
    }
}

#[test]
fn archives_that_want_more_than_to_be_read_are_refused() {
    for (name, message, hint) in [
        ("evil.pth", "`a.pth` would run `posix.system` when it is read as a pickle; it was not read", "needs no code"),
        (
            "turned.pth",
            "the PyTorch archive `a.pth` cannot be read: `turned` is a turned or cut view of another tensor",
            "",
        ),
        (
            "old.pth",
            "`a.pth` is not a safetensors file: it looks like a Python pickle (an old `.pth` or `.ckpt`)",
            "only zipped ones",
        ),
    ] {
        let (found, found_hint) = failure(Checkpoint::from_bytes(bytes(name), "a.pth"));
        assert_eq!(found, message);
        assert!(found_hint.contains(hint), "{found_hint}");
    }
}

#[test]
fn gguf_files_give_their_tensors_and_vocabulary() {
    let checkpoint = open("small.gguf");
    assert_eq!(checkpoint.metadata()["general.architecture"], "wan");
    assert_eq!(checkpoint.metadata()["general.name"], "a test");
    assert_counts(&checkpoint.get("plain", &[2, 3]).unwrap(), 0, 0.0);
    assert_counts(&checkpoint.get("half", &[2, 3]).unwrap(), 0, 0.0);
    assert_counts(&checkpoint.get("folded", &[2, 1, 2, 2, 2]).unwrap(), 0, 0.0);
    for (name, dtype, bound) in [
        ("q8_0", DType::Q8_0, 0.1),
        ("q4_0", DType::Q4_0, 1.5),
        ("q4_1", DType::Q4_1, 0.2),
        ("q5_0", DType::Q5_0, 0.7),
        ("q5_1", DType::Q5_1, 0.1),
    ] {
        let tensor = checkpoint.get(name, &[3, 64]).unwrap();
        assert_eq!(tensor.dtype(), dtype);
        assert_counts(&tensor, 0, bound);
    }
    let spiece = checkpoint.tensor("spiece_model").unwrap();
    assert!(spiece.bytes().windows(4).any(|bytes| bytes == "\u{2581}a".as_bytes()));
}

#[test]
fn cut_and_changed_files_are_errors_and_never_panics() {
    for name in ["small.gguf", "plain.pth"] {
        let whole = bytes(name);
        for len in (4..whole.len()).step_by(if whole.len() > 10_000 { 37 } else { 7 }) {
            let _ = Checkpoint::from_bytes(whole[..len].to_vec(), "cut");
        }
        let mut state = 1u64;
        for _ in 0..3000 {
            let mut changed = whole.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let place = (state >> 33) as usize % changed.len();
                changed[place] = (state >> 20) as u8;
            }
            if let Ok(checkpoint) = Checkpoint::from_bytes(changed, "changed") {
                for (key, _) in checkpoint.tensors() {
                    let _ = checkpoint.tensor(key).map(|tensor| tensor.element_count());
                }
            }
        }
    }
}

#[test]
fn an_unknown_type_is_named_when_it_is_needed() {
    let mut changed = bytes("small.gguf");
    // The type of `plain` follows its name, its two axes and their sizes.
    let name = changed.windows(13).position(|bytes| bytes == b"\x05\0\0\0\0\0\0\0plain").unwrap();
    let kind = name + 13 + 4 + 16;
    changed[kind] = 23;
    let checkpoint = Checkpoint::from_bytes(changed, "a.gguf").unwrap();
    let (message, hint) = failure(checkpoint.tensor("plain"));
    assert_eq!(message, "`plain` in `a.gguf` is of type iq4_xs, which cannot be used as a weight");
    assert!(hint.contains("GGUF of Q2_K to Q8_0"), "{hint}");
}

#[test]
fn shards_and_folders_are_one_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("transformer");
    fs::create_dir(&part).unwrap();
    fs::write(folder.path().join("model_index.json"), "{}").unwrap();
    fs::write(part.join("model-1.safetensors"), file(&[f32s("a", &[2], &[1.0, 2.0])], &[])).unwrap();
    fs::write(part.join("model-2.safetensors"), file(&[f32s("b", &[1], &[1.0])], &[])).unwrap();
    let index = part.join("diffusion_pytorch_model.safetensors.index.json");
    let write = |map: &str| fs::write(&index, format!("{{\"metadata\": {{}}, \"weight_map\": {{{map}}}}}")).unwrap();
    write(r#""a": "model-1.safetensors", "b": "model-2.safetensors""#);
    for path in [folder.path(), &part, &index] {
        let checkpoint = Checkpoint::open_component(path, Role::DiffusionModel, false).unwrap();
        assert_eq!(checkpoint.tensors().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(checkpoint.get("a", &[2]).unwrap().to_vec(), [1.0, 2.0]);
    }
    let (message, _) = failure(Checkpoint::open_component(folder.path(), Role::Vae, false));
    assert_eq!(message, format!("the folder `{}` has no VAE", folder.path().display()));
    write(r#""a": "../secret.safetensors""#);
    let (message, _) = failure(Checkpoint::open(&index));
    assert!(message.ends_with("is wrong: `../secret.safetensors` is no file beside it"), "{message}");
    write(r#""a": "model-3.safetensors""#);
    assert!(failure(Checkpoint::open(&index)).0.starts_with("there is no file"));
}

#[test]
fn tensors_made_in_memory_are_a_checkpoint() {
    let bytes = vita_tensor::Bytes::from_static(&[0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]);
    let stored = |dims: &[usize]| vita_weights::Stored {
        element_type: vita_weights::ElementType::Known(DType::F32),
        dims: vita_tensor::Dims::from(dims),
        bytes: bytes.clone(),
    };
    let of = |tensors: &[(&str, &[usize])]| {
        let tensors = tensors.iter().map(|(name, dims)| ((*name).to_owned(), stored(dims)));
        Checkpoint::from_tensors("made", tensors)
    };
    let file = of(&[("a", &[2]), ("b", &[1, 2])]).unwrap();
    assert_eq!(file.tensor("b").unwrap().to_vec(), [1.0, 2.0]);
    assert_eq!(file.size_bytes(), 16);
    assert_eq!(file.stored("a").unwrap().bytes.as_ptr(), file.stored("b").unwrap().bytes.as_ptr());
    assert!(of(&[("a", &[2]), ("a", &[2])]).unwrap_err().to_string().contains("`a`"));
    assert!(of(&[("a", &[3])]).unwrap_err().to_string().contains("`a`"));
}
