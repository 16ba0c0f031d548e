//! Files that are not what they should be, each by its message and its hint.

mod common;

use common::{checkpoint, f32s, failure, file, of_layout, small, with_header, zeros};
use vita_weights::{Checkpoint, Role};

#[track_caller]
fn check(bytes: Vec<u8>, message: &str, hint: &str) {
    let (found_message, found_hint) = failure(Checkpoint::from_bytes(bytes, "a.safetensors"));
    assert_eq!(found_message, message);
    assert!(found_hint.contains(hint), "hint is {found_hint:?}");
}

/// A header whose tensors are given as JSON.
#[track_caller]
fn check_header(header: &str, data_bytes: usize, problem: &str) {
    let message = format!("the header of `a.safetensors` is wrong: {problem}");
    check(with_header(header, &vec![0; data_bytes]), &message, "download it again");
}

#[test]
fn other_formats() {
    for (bytes, message, hint) in [
        (&b""[..], "`a.safetensors` is empty", "download"),
        (
            b"\x80\x02}q\x00",
            "`a.safetensors` is not a safetensors file: it looks like a Python pickle (an old `.pth` or `.ckpt`)",
            "get the `.safetensors` form",
        ),
        (b"GGUF\x03\0\0\0\0\0\0\0", "`a.safetensors` is cut short: 4 bytes (4 B) of 16 are missing", "did not finish"),
        (
            b"<!DOCTYPE html><html>",
            "`a.safetensors` is not a safetensors file: it looks like an HTML page",
            "a login or an accepted licence",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "`a.safetensors` is not a safetensors file: it looks like a git-lfs pointer",
            "git lfs pull",
        ),
        (&[0; 100], "`a.safetensors` is not a safetensors file: it starts with zeros", "did not finish"),
        (b"hello", "`a.safetensors` is not a safetensors file", "choose"),
    ] {
        check(bytes.to_vec(), message, hint);
    }
}

#[test]
fn places_that_are_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no.safetensors");
    let (message, hint) = failure(Checkpoint::open(&missing));
    assert_eq!(message, format!("there is no file `{}`", missing.display()));
    assert!(hint.contains("check the path"));

    let (message, hint) = failure(Checkpoint::open(folder.path()));
    assert_eq!(message, format!("`{}` is not a file", folder.path().display()));
    assert!(hint.contains("choose a `.safetensors` file"));

    let empty = folder.path().join("empty.safetensors");
    std::fs::write(&empty, b"").unwrap();
    assert_eq!(failure(Checkpoint::open(&empty)).0, format!("`{}` is empty", empty.display()));
}

#[test]
fn a_file_cut_short_says_how_much_is_missing() {
    let whole = file(&[f32s("x", &[2, 3], &[1.0; 6]), zeros("y", "F16", &[50])], &[]);
    let header_end = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for missing in [1, 100, 124] {
        let message =
            format!("`a.safetensors` is cut short: {missing} bytes ({missing} B) of {} are missing", whole.len());
        check(whole[..whole.len() - missing].to_vec(), &message, "download the file again");
    }
    let message = format!("`a.safetensors` is cut short: 10 bytes (10 B) of {header_end} are missing");
    check(whole[..header_end - 10].to_vec(), &message, "download the file again");
}

#[test]
fn hostile_headers() {
    let mut long = 0x7fff_ffff_ffff_ffff_u64.to_le_bytes().to_vec();
    long.extend_from_slice(b"{\"x\":{}}");
    check(
        long,
        "the header of `a.safetensors` is wrong: it claims a header of 9223372036854775807 bytes",
        "made to do harm",
    );
    let entry = |shape: &str, range: &str| format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":{range}}}"#);
    for (header, data_bytes, problem) in [
        (format!(r#"{{"x":{0},"x":{0}}}"#, entry("[1]", "[0,4]")), 4, "`x` is there twice"),
        (r#"{"x":{"dtype":"F32","dtype":"F16","shape":[],"data_offsets":[0,4]}}"#.into(), 4, "`dtype` is there twice"),
        (r#"{"__metadata__":{},"__metadata__":{}}"#.into(), 0, "`__metadata__` is there twice"),
        (format!(r#"{{"x":{},"y":{}}}"#, entry("[2]", "[0,8]"), entry("[2]", "[4,12]")), 12, "`x` and `y` share bytes"),
        (
            format!(r#"{{"x":{},"y":{}}}"#, entry("[2]", "[0,8]"), entry("[2]", "[10,18]")),
            18,
            "2 bytes before `y` belong to no tensor",
        ),
        (format!(r#"{{"x":{}}}"#, entry("[2]", "[0,8]")), 11, "3 bytes at the end belong to no tensor"),
        (format!(r#"{{"x":{}}}"#, entry("[3]", "[0,8]")), 8, "`x` has a range of 8 bytes, its shape and dtype take 12"),
        (format!(r#"{{"x":{}}}"#, entry("[2]", "[8,0]")), 8, "the range of `x` ends before it begins"),
        (
            format!(r#"{{"x":{}}}"#, entry("[4294967296,4294967296,4294967296]", "[0,8]")),
            8,
            "`x` has too many axes or elements",
        ),
        (
            // Zero elements, but strides beyond any integer.
            format!(r#"{{"x":{}}}"#, entry("[0,4294967296,4294967296]", "[0,0]")),
            0,
            "`x` has too many axes or elements",
        ),
        (format!(r#"{{"x":{}}}"#, entry("[1,1,1,1,1,1,1,1,1]", "[0,4]")), 4, "`x` has too many axes or elements"),
        (
            format!(r#"{{"x":{}}}"#, entry("[-1]", "[0,4]")),
            4,
            "invalid value: integer `-1`, expected u64 at line 1 column 31",
        ),
        (r#"{"x":{"dtype":"F32","shape":[]}}"#.into(), 0, "missing field `data_offsets` at line 1 column 31"),
        (
            r#"{"x":7}"#.into(),
            0,
            "invalid type: integer `7`, expected a tensor's dtype, shape and data_offsets at line 1 column 6",
        ),
        (r#"{"__metadata__":{"a":1}}"#.into(), 0, "invalid type: integer `1`, expected a string at line 1 column 22"),
        ("{\"x\":".repeat(50_000), 0, "EOF while parsing a value at line 1 column 250000"),
        ("{ no json".into(), 0, "key must be a string at line 1 column 3"),
    ] {
        check_header(&header, data_bytes, problem);
    }
}

#[test]
fn a_range_far_outside_is_a_cut() {
    let header = r#"{"x":{"dtype":"U8","shape":[281474976710656],"data_offsets":[0,281474976710656]}}"#;
    let message = format!(
        "`a.safetensors` is cut short: {} bytes (256 TiB) of {} are missing",
        (1u64 << 48) - 4,
        (1u64 << 48) + 8 + header.len() as u64
    );
    check(with_header(header, &[0; 4]), &message, "download the file again");
}

#[test]
fn a_tensor_asked_for_by_name() {
    let inputs = checkpoint(&[f32s("x", &[2, 3], &[0.0; 6]), zeros("mask", "BOOL", &[4])]);
    assert_eq!(inputs.get("x", &[2, 3]).unwrap().sizes(), [2, 3]);
    assert_eq!(
        failure(inputs.tensor("context")),
        ("`model.safetensors`: `context` is missing".into(), "this file holds `mask`, `x`".into())
    );
    assert_eq!(failure(inputs.get("x", &[3, 2])).0, "`model.safetensors`: `x` is [2, 3], expected [3, 2]");
    assert_eq!(
        failure(inputs.tensor("mask")).0,
        "`mask` in `model.safetensors` is of type BOOL, which cannot be used as a weight"
    );
}

#[test]
fn a_file_in_the_wrong_slot() {
    let dit = of_layout(&small::dit().layout(), "BF16", "");
    let vae = of_layout(&small::vae().layout(), "BF16", "");
    let lora = [zeros("diffusion_model.blocks.0.self_attn.q.lora_down.weight", "F16", &[4, 128])];
    let flux = [zeros("double_blocks.0.img_attn.qkv.weight", "F16", &[4, 4])];
    let t5: Vec<_> = of_layout(&small::umt5().layout(), "F16", "")
        .into_iter()
        .filter(|put| !put.name.contains("block.1.layer.0.SelfAttention.relative"))
        .collect();
    let mut vace = dit.clone();
    vace.push(zeros("vace_patch_embedding.weight", "BF16", &[128, 96, 1, 2, 2]));

    for (puts, role, message, hint) in [
        (
            &vae[..],
            Role::DiffusionModel,
            "`model.safetensors` is not a Wan diffusion model: it seems to be a Wan 2.1-shaped VAE, dim 4 and 4, \
             16 latent channels",
            "use this file as the VAE, and choose a Wan diffusion model here",
        ),
        (
            &dit,
            Role::TextEncoder,
            "`model.safetensors` is not a UMT5 text encoder: it seems to be a Wan-shaped diffusion model, dim 128, \
             2 layers, 16 to 16 channels",
            "use this file as the diffusion model, and choose a UMT5 text encoder here",
        ),
        (
            &lora,
            Role::DiffusionModel,
            "`model.safetensors` is not a Wan diffusion model: it seems to be a LoRA",
            "choose a Wan diffusion model here",
        ),
        (
            &flux,
            Role::Vae,
            "`model.safetensors` is not a Wan VAE: it seems to be a Flux or HunyuanVideo diffusion model",
            "choose a Wan VAE here",
        ),
        (
            &[],
            Role::Vae,
            "`model.safetensors` is not a Wan VAE: it seems to be a file without tensors",
            "choose a Wan VAE here",
        ),
        (
            &t5,
            Role::TextEncoder,
            "`model.safetensors` holds a T5-shaped text encoder, dim 24, 2 layers, which cannot be run: Wan needs \
             UMT5, which has a table of relative positions in every layer",
            "choose a text-to-video or image-to-video model of Wan 2.1 or 2.2",
        ),
        (
            &vace,
            Role::DiffusionModel,
            "`model.safetensors` holds a Wan-shaped diffusion model, dim 128, 2 layers, 16 to 16 channels, which \
             cannot be run: it needs VACE blocks, which is not implemented",
            "choose a text-to-video or image-to-video model of Wan 2.1 or 2.2",
        ),
    ] {
        assert_eq!(failure(checkpoint(puts).weights(role)), (message.into(), hint.into()));
    }
}

#[test]
fn a_tensor_that_does_not_fit() {
    let mut puts = of_layout(&small::dit().layout(), "BF16", "model.diffusion_model.");
    puts.retain(|put| !put.name.ends_with("blocks.1.ffn.2.bias"));
    let block = puts.iter_mut().find(|put| put.name.ends_with("blocks.1.ffn.0.weight")).unwrap();
    *block = zeros(block.name.clone(), "I32", &block.dims);
    let weights = common::weights(&puts, Role::DiffusionModel);
    let seems = "this file seems to be a Wan-shaped diffusion model, dim 128, 2 layers, 16 to 16 channels; choose one \
                 that fits, or download it again if it should";
    let start = "`model.safetensors` does not fit a Wan diffusion model: `model.diffusion_model.";
    for (name, dims, message, hint) in [
        (
            "self_attn.q.weight",
            &[5120, 5120][..],
            "blocks.1.self_attn.q.weight` is [128, 128], expected [5120, 5120]",
            seems,
        ),
        ("ffn.2.bias", &[128], "blocks.1.ffn.2.bias` is missing", seems),
    ] {
        let (found_message, found_hint) = failure(weights.scope("blocks.1").get(name, dims));
        assert_eq!((found_message, found_hint), (format!("{start}{message}"), hint.into()));
    }
    assert_eq!(
        failure(weights.weight("blocks.1.ffn.0.weight", &[192, 128])).0,
        "`model.diffusion_model.blocks.1.ffn.0.weight` in `model.safetensors` is of type i32, which cannot be used as \
         a weight"
    );
}

#[test]
fn sizes_of_another_rank() {
    let mut puts = of_layout(&small::dit().layout(), "F32", "");
    let patch = puts.iter_mut().find(|put| put.name == "patch_embedding.weight").unwrap();
    *patch = zeros("patch_embedding.weight", "F32", &[128, 64]);
    let (message, hint) = failure(common::weights(&puts, Role::DiffusionModel).dit_facts());
    assert_eq!(
        message,
        "`model.safetensors` does not fit a Wan diffusion model: `patch_embedding.weight` is [128, 64], expected 5 axes"
    );
    assert!(hint.contains("Wan 2.1 or 2.2"));
}
