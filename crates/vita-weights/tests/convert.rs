//! Conversions between dialects and storages, of the small models that ship with the program and of made-up files.

mod common;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{Put, checkpoint, f32s, failure, of_layout, small, zeros};
use vita_tensor::DType;
use vita_weights::{Checkpoint, Conversion, Dialect, Numbers, Role, identify};

const DIALECTS: [Dialect; 4] = [Dialect::Comfy, Dialect::Kijai, Dialect::Official, Dialect::Diffusers];

const NANO: [(&str, Role); 9] = [
    ("nano-t2v-dit", Role::DiffusionModel),
    ("nano-i2v-dit", Role::DiffusionModel),
    ("nano-i2v-high", Role::DiffusionModel),
    ("nano-i2v-low", Role::DiffusionModel),
    ("nano-ti2v-dit", Role::DiffusionModel),
    ("nano-umt5", Role::TextEncoder),
    ("nano-vae", Role::Vae),
    ("nano-vae22", Role::Vae),
    ("nano-clip-vision", Role::ClipVision),
];

fn nano(name: &str) -> Checkpoint {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano");
    Checkpoint::open(assets.join(format!("{name}.safetensors"))).unwrap()
}

/// Converts into a folder, and checks the size that was told before.
#[track_caller]
fn convert(from: &Checkpoint, dialect: Dialect, numbers: Option<Numbers>, folder: &Path) -> (PathBuf, Checkpoint) {
    let plan = Conversion::plan(from, dialect, numbers).unwrap();
    let ending = if numbers == Some(Numbers::Q8_0) { "gguf" } else { "safetensors" };
    let path = folder.join(format!("out.{ending}"));
    let mut told = 0;
    let go_on = &mut |bytes| {
        told = bytes;
        ControlFlow::Continue(())
    };
    assert!(plan.write(&path, go_on).unwrap());
    assert_eq!(path.metadata().unwrap().len(), plan.size_bytes(), "as it was predicted");
    assert_eq!(told, plan.size_bytes());
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "no other file is left");
    let read = Checkpoint::open(&path).unwrap();
    (path, read)
}

/// The largest relative error of a tensor, of all that the canonical names have; and that of the matrices of blocks.
fn errors(from: &Checkpoint, to: &Checkpoint, role: Role) -> (f64, f64) {
    let (from, to) = (from.weights(role).unwrap(), to.weights(role).unwrap());
    let (mut others, mut matrices) = (0.0f64, 0.0f64);
    let names: Vec<(String, Vec<usize>)> =
        from.all().map(|(name, stored)| (name.to_owned(), stored.dims.to_vec())).collect();
    for (name, dims) in names {
        let Ok(want) = from.get(&name, &dims) else { continue };
        if name.ends_with("scale_weight") || name == "scaled_fp8" {
            continue;
        }
        let (want, got) = (want.to_vec(), to.get(&name, &dims).unwrap_or_else(|error| panic!("{error}")).to_vec());
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
        let difference = squares(&mut want.iter().zip(&got).map(|(a, b)| f64::from(a - b)));
        let error = (difference / squares(&mut want.iter().map(|&value| f64::from(value))).max(1e-30)).sqrt();
        let is_matrix =
            name.contains("block") && dims.len() == 2 && !name.contains("relative") || name == "shared.weight";
        let largest = if is_matrix { &mut matrices } else { &mut others };
        *largest = largest.max(error);
    }
    (others, matrices)
}

#[test]
fn the_small_models_are_without_problems() {
    for (name, _) in NANO {
        assert_eq!(identify(&nano(name)).parts[0].problems, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn dialects_are_names_alone() {
    for (name, _) in NANO {
        let from = nano(name);
        for dialect in DIALECTS {
            let folder = tempfile::tempdir().unwrap();
            let (_, to) = convert(&from, dialect, None, folder.path());
            let (before, after) = (identify(&from), identify(&to));
            assert_eq!(after.system, before.system, "{name} {dialect:?}");
            assert_eq!(after.parts[0].problems, Vec::<String>::new(), "{name} {dialect:?}");
            // Back again, every byte of every tensor is what it was.
            let back_folder = tempfile::tempdir().unwrap();
            let (_, back) = convert(&to, Dialect::Comfy, None, back_folder.path());
            for (key, stored) in from.tensors() {
                let again = back.stored(key).unwrap_or_else(|| panic!("{key} of {name} by {dialect:?}"));
                assert!(again.bytes == stored.bytes && again.dims == stored.dims, "{key} of {name} by {dialect:?}");
            }
        }
    }
}

#[test]
fn dialects_have_their_own_names() {
    for (name, dialect, key) in [
        ("nano-t2v-dit", Dialect::Diffusers, "blocks.0.attn2.to_out.0.weight"),
        ("nano-t2v-dit", Dialect::Diffusers, "blocks.3.scale_shift_table"),
        ("nano-i2v-dit", Dialect::Diffusers, "condition_embedder.image_embedder.ff.net.0.proj.bias"),
        ("nano-t2v-dit", Dialect::Kijai, "blocks.0.cross_attn.o.weight"),
        ("nano-umt5", Dialect::Kijai, "blocks.0.pos_embedding.embedding.weight"),
        ("nano-umt5", Dialect::Diffusers, "encoder.block.0.layer.1.DenseReluDense.wo.weight"),
        ("nano-vae", Dialect::Diffusers, "decoder.up_blocks.0.upsamplers.0.time_conv.weight"),
        ("nano-vae22", Dialect::Diffusers, "encoder.down_blocks.0.resnets.1.norm2.gamma"),
        ("nano-clip-vision", Dialect::Kijai, "visual.transformer.0.attn.to_qkv.weight"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (_, to) = convert(&nano(name), dialect, None, folder.path());
        assert!(to.stored(key).is_some(), "{key} of {name} by {dialect:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (_, official) = convert(&nano("nano-clip-vision"), Dialect::Official, None, folder.path());
    assert_eq!(*official.stored("visual.cls_embedding").unwrap().dims, [1, 1, 80]);
    assert_eq!(*official.stored("visual.transformer.0.attn.to_qkv.weight").unwrap().dims, [240, 80]);
    assert_eq!(*official.stored("visual.head").unwrap().dims, [80, 32]);
}

/// Storage; bounds of the relative error of tensors that stay precise, and of the matrices in blocks.
const STORAGES: [(Numbers, f64, f64); 6] = [
    (Numbers::F32, 0.0, 0.0),
    (Numbers::F16, 0.0, 0.0),
    (Numbers::Bf16, 3e-3, 3e-3),
    (Numbers::Fp8Scaled, 0.0, 4e-2),
    (Numbers::Fp8, 0.0, 8e-2),
    (Numbers::Q8_0, 0.0, 1e-2),
];

#[test]
fn storages_lose_what_their_format_loses() {
    for (name, role) in NANO {
        let from = nano(name);
        for (numbers, others_max, matrices_max) in STORAGES {
            let is_eight_bit = !matches!(numbers, Numbers::F32 | Numbers::F16 | Numbers::Bf16);
            if is_eight_bit && matches!(role, Role::Vae | Role::ClipVision) {
                let refused = failure(Conversion::plan(&from, Dialect::Comfy, Some(numbers)));
                assert!(refused.0.ends_with("does not stand 8 bits, and is small"), "{}", refused.0);
                assert_eq!(refused.1, "choose bf16, f16 or f32");
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let (_, to) = convert(&from, Dialect::Comfy, Some(numbers), folder.path());
            let part = &identify(&to).parts[0];
            assert_eq!(part.system, identify(&from).parts[0].system, "{name} {numbers}");
            assert_eq!(part.problems, Vec::<String>::new(), "{name} {numbers}");
            // Their matrices are 8-bit floats already, of the experts those outside of blocks too.
            let is_fp8 = ["nano-i2v-dit", "nano-i2v-high", "nano-i2v-low"].contains(&name);
            let (others, matrices) = errors(&from, &to, role);
            let slack = if is_fp8 { 1e-3 } else { 0.0 };
            assert!(others <= others_max + slack, "{name} {numbers}: {others} of tensors that stay");
            assert!(matrices <= matrices_max + slack, "{name} {numbers}: {matrices} of matrices");
            let loses = matches!(numbers, Numbers::Fp8Scaled | Numbers::Fp8 | Numbers::Q8_0) && !is_fp8;
            assert!(!loses || matrices > 1e-4, "{name} {numbers}: it was converted");
        }
    }
}

#[test]
fn scaled_floats_are_marked_and_stay_as_they_are_the_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let (_, once) = convert(&nano("nano-t2v-dit"), Dialect::Comfy, Some(Numbers::Fp8Scaled), folder.path());
    let part = &identify(&once).parts[0];
    assert_eq!(part.storage, "fp8_e4m3fn and f16, scaled (ComfyUI, old mark)");
    assert_eq!(once.stored("scaled_fp8").unwrap().bytes.len(), 0);
    let weight = once.tensor("blocks.0.ffn.0.weight").unwrap();
    assert_eq!(weight.dtype(), DType::F8E4M3);
    let largest = weight.to_vec().into_iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    assert_eq!(largest, 448.0, "the scale uses the whole range");
    for key in ["blocks.0.norm3.weight", "blocks.0.modulation", "patch_embedding.weight", "head.head.weight"] {
        assert_eq!(once.tensor(key).unwrap().dtype(), DType::F16, "{key}");
    }
    let again_folder = tempfile::tempdir().unwrap();
    let (_, again) = convert(&once, Dialect::Comfy, Some(Numbers::Fp8Scaled), again_folder.path());
    for (key, stored) in once.tensors() {
        assert!(again.stored(key).unwrap().bytes == stored.bytes, "{key}");
    }
    // Kijai's have scales, and no mark; the text encoder's mark asks for full precision.
    let kijai_folder = tempfile::tempdir().unwrap();
    let (_, kijai) = convert(&once, Dialect::Kijai, None, kijai_folder.path());
    assert_eq!(identify(&kijai).parts[0].storage, "fp8_e4m3fn and f16, scaled (no mark)");
    let text_folder = tempfile::tempdir().unwrap();
    let (_, text) = convert(&nano("nano-umt5"), Dialect::Comfy, Some(Numbers::Fp8Scaled), text_folder.path());
    assert_eq!(text.stored("scaled_fp8").unwrap().bytes.len(), 2);
    assert_eq!(text.tensor("shared.weight").unwrap().dtype(), DType::F16);
}

#[test]
fn gguf_goes_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let from = nano("nano-t2v-dit");
    let (_, gguf) = convert(&from, Dialect::Comfy, Some(Numbers::Q8_0), folder.path());
    assert_eq!(gguf.metadata()["general.architecture"], "wan");
    assert_eq!(gguf.tensor("blocks.0.ffn.2.weight").unwrap().dtype(), DType::Q8_0);
    assert_eq!(gguf.tensor("blocks.0.modulation").unwrap().dtype(), DType::F32);
    assert_eq!(*gguf.stored("patch_embedding.weight").unwrap().dims, [256, 16, 1, 2, 2]);
    let refused = failure(Conversion::plan(&gguf, Dialect::Diffusers, None));
    assert!(refused.0.contains("is q8_0, which only GGUF files hold"), "{}", refused.0);
    let back_folder = tempfile::tempdir().unwrap();
    let (_, back) = convert(&gguf, Dialect::Diffusers, Some(Numbers::F32), back_folder.path());
    assert_eq!(errors(&gguf, &back, Role::DiffusionModel), (0.0, 0.0), "widened, and nothing else");

    // The text encoder takes its vocabulary along.
    let text_folder = tempfile::tempdir().unwrap();
    let from = nano("nano-umt5");
    let (_, text) = convert(&from, Dialect::Comfy, Some(Numbers::Q8_0), text_folder.path());
    assert_eq!(text.metadata()["general.architecture"], "t5encoder");
    assert_eq!(text.tensor("token_embd.weight").unwrap().dtype(), DType::Q8_0);
    assert!(text.weights(Role::TextEncoder).unwrap().embedded("spiece_model").is_some());
    let again_folder = tempfile::tempdir().unwrap();
    let (_, again) = convert(&text, Dialect::Comfy, Some(Numbers::F16), again_folder.path());
    let model = |file: &Checkpoint| file.weights(Role::TextEncoder).unwrap().embedded("spiece_model");
    assert_eq!(model(&again), model(&text));
}

#[test]
fn what_people_wrote_into_a_header_stays() {
    let puts = of_layout(&small::dit().layout(), "BF16", "model.diffusion_model.");
    let metadata = [("author", "someone"), ("_quantization_metadata", "{\"layers\": {}}")];
    let from = Checkpoint::from_bytes(common::file(&puts, &metadata), "model.safetensors").unwrap();
    for numbers in [None, Some(Numbers::Q8_0)] {
        let folder = tempfile::tempdir().unwrap();
        let (_, to) = convert(&from, Dialect::Comfy, numbers, folder.path());
        assert_eq!(to.metadata()["author"], "someone");
        assert!(!to.metadata().contains_key("_quantization_metadata"));
        assert!(to.stored("blocks.0.self_attn.q.weight").is_some(), "without the prefix");
    }
}

#[test]
fn a_stop_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.safetensors");
    let plan = Conversion::plan(&nano("nano-vae"), Dialect::Comfy, Some(Numbers::Bf16)).unwrap();
    let half = plan.size_bytes() / 2;
    let stop = &mut |bytes| if bytes > half { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    assert!(!plan.write(&path, stop).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn dit_with(change: impl FnOnce(&mut Vec<Put>)) -> Checkpoint {
    let mut puts = of_layout(&small::dit().layout(), "F32", "");
    change(&mut puts);
    checkpoint(&puts)
}

fn put(puts: &mut [Put], name: &str, value: f32) {
    let found = puts.iter_mut().find(|put| put.name == name).unwrap();
    found.bytes[..4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn files_that_are_not_converted() {
    let lora = checkpoint(&[
        zeros("diffusion_model.blocks.0.self_attn.q.lora_up.weight", "F16", &[8, 4]),
        zeros("diffusion_model.blocks.0.self_attn.q.lora_down.weight", "F16", &[4, 8]),
    ]);
    let mut both = of_layout(&small::dit().layout(), "F16", "model.diffusion_model.");
    both.extend(of_layout(&small::vae().layout(), "F16", "vae."));
    let nothing = checkpoint(&[f32s("x", &[1], &[1.0])]);
    let part = dit_with(|puts| puts.retain(|put| put.name != "head.head.bias"));
    for (file, reason) in [
        (&lora, "it is a LoRA, not a model"),
        (&checkpoint(&both), "it holds several networks"),
        (&nothing, "it is no model that is known here"),
        (&part, "1 tensor is missing: head.head.bias"),
    ] {
        let (message, hint) = failure(Conversion::plan(file, Dialect::Comfy, Some(Numbers::Bf16)));
        assert_eq!(message, format!("`model.safetensors` cannot be converted so: {reason}"));
        assert!(!hint.is_empty());
    }
    let (message, _) = failure(Conversion::plan(&dit_with(|_| {}), Dialect::Diffusers, Some(Numbers::Q8_0)));
    assert!(message.ends_with("no program reads GGUF files with the names of diffusers"), "{message}");
}

#[test]
fn numbers_that_do_not_fit() {
    let name = "blocks.1.ffn.0.weight";
    for (value, numbers, said) in [
        (1e6, Numbers::F16, Some("holds 1000000, which f16 does not")),
        (500.0, Numbers::Fp8, Some("holds 500, which fp8_e4m3fn does not")),
        (f32::NAN, Numbers::Fp8Scaled, Some("holds a number that is none, which fp8_e4m3fn does not")),
        (f32::INFINITY, Numbers::Q8_0, Some("holds a number that is none, which q8_0 does not")),
        (1e6, Numbers::Fp8Scaled, None),
        (1e6, Numbers::Q8_0, None),
        (1e6, Numbers::Bf16, None),
        (f32::NAN, Numbers::Bf16, None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let from = dit_with(|puts| put(puts, name, value));
        let plan = Conversion::plan(&from, Dialect::Comfy, Some(numbers)).unwrap();
        let written = plan.write(folder.path().join("out"), &mut |_| ControlFlow::Continue(()));
        match said {
            Some(said) => {
                let (message, hint) = failure(written);
                assert_eq!(message, format!("`{name}` in `model.safetensors` {said}"));
                assert_eq!(hint, "choose bf16, or fp8_scaled, which hold larger numbers");
                assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
            }
            None => assert!(written.unwrap(), "{value} in {numbers}"),
        }
    }
}
