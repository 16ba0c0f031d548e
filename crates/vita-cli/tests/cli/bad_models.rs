//! Files of models and LoRAs that cannot be used, each by its message.

use std::path::Path;

use vita_tensor::Tensor;

use crate::support::{FILES, Folder, TINY, Tensors, check, nano_file, tensors};

/// A LoRA upon one layer, in its shape or another.
fn lora(layer: &str, [rows, columns]: [usize; 2]) -> Tensors {
    let wave =
        |dims: [usize; 2]| Tensor::from_vec((0..dims[0] * dims[1]).map(|i| (i as f32 * 0.37).sin()).collect(), dims);
    [
        (format!("diffusion_model.{layer}.lora_up.weight"), wave([rows, 2])),
        (format!("diffusion_model.{layer}.lora_down.weight"), wave([2, columns])),
    ]
    .into()
}

#[test]
fn loras_that_are_not_for_the_model() {
    let folder = Folder::new();
    folder.write_tensors("large.safetensors", &lora("blocks.0.self_attn.q", [5120, 5120]));
    folder.write_tensors("foreign.safetensors", &lora("double_blocks.0.img_attn.proj", [256, 256]));
    folder.write_tensors("later.safetensors", &lora("blocks.39.self_attn.q", [256, 256]));
    let mut half = lora("blocks.0.self_attn.q", [256, 256]);
    half.retain(|name, _| name.ends_with("lora_up.weight"));
    folder.write_tensors("half.safetensors", &half);
    folder.write("empty.safetensors", "");
    for (file, want) in [
        (
            "large.safetensors",
            "error: `large.safetensors` is a LoRA for another size than a Wan-shaped diffusion model, dim 256, 5 layers, 16 to 16 channels: it changes [5120, 5120] in `blocks.0.self_attn.q`, which is [256, 256] there\n\nhint: choose a LoRA that was made for",
        ),
        (
            "foreign.safetensors",
            "error: `foreign.safetensors` is no LoRA for a Wan-shaped diffusion model, dim 256, 5 layers, 16 to 16 channels: none of its 2 keys match, such as `diffusion_model.double_blocks.0.img_attn.proj.lora_down.weight`\n\nhint: this file seems to be a LoRA for Flux or HunyuanVideo; choose a LoRA that was made for",
        ),
        ("later.safetensors", "error: `later.safetensors` is no LoRA for a Wan-shaped diffusion model"),
        ("half.safetensors", "error: the LoRA `half.safetensors` is damaged: for `blocks.0.self_attn.q` it has "),
        ("empty.safetensors", "error: `empty.safetensors` is empty"),
        ("none.safetensors", "error: there is no file `none.safetensors`"),
    ] {
        check(&folder, &[&["generate", "x", "--lora", file], TINY].concat(), want);
    }
    check(
        &folder,
        &[&["generate", "x", "--lora-low", "large.safetensors"], TINY].concat(),
        "error: a LoRA for one of two experts is for systems of two experts, and `nano-t2v-dit.safetensors` is one model",
    );
}

#[test]
fn a_lora_that_matches_in_part_is_used_and_counted() {
    let folder = Folder::new();
    let mut tensors = lora("blocks.0.self_attn.q", [256, 256]);
    tensors.extend(lora("blocks.9.self_attn.q", [256, 256]));
    tensors.insert("lora_te_text_model.lora_up.weight".into(), Tensor::zeros([2, 2]));
    folder.write_tensors("part.safetensors", &tensors);
    let ended = folder.run(&[&["generate", "x", "--lora", "part.safetensors", "-o", "x.png"], TINY].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let want = "warning: 3 of 5 keys of `part.safetensors` match nothing in the model, such as \
                `diffusion_model.blocks.9.self_attn.q.lora_down.weight`";
    assert!(ended.stderr.contains(want), "{}", ended.stderr);
}

#[test]
fn a_pickle_that_would_run_code_is_refused_and_named() {
    let folder = Folder::new();
    folder.add_nano();
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vita-weights/tests/files");
    std::fs::copy(files.join("evil.pth"), folder.path().join("evil.pth")).unwrap();
    let want = "error: `evil.pth` would run `posix.system` when it is read as a pickle; it was not read\n\nhint: ";
    for slot in ["--dit", "--text-encoder", "--vae"] {
        let mut files = FILES.to_vec();
        let place = files.iter().position(|flag| *flag == slot).unwrap();
        files[place + 1] = "evil.pth";
        check(&folder, &[&["generate", "x"], &files[..], TINY].concat(), want);
    }
    check(&folder, &[&["generate", "x", "--lora", "evil.pth"], TINY].concat(), want);
    check(&folder, &["inspect", "evil.pth"], want);
}

#[test]
fn a_gguf_of_an_unknown_type() {
    let folder = Folder::new();
    folder.add_nano();
    let odd = "blocks.1.ffn.0.weight";
    // 23 is IQ4_XS, which is known and not read; 99 is nothing.
    for (kind, want) in [(23u32, "iq4_xs"), (99, "GGUF type 99")] {
        folder.write("x.gguf", gguf(&tensors(&nano_file("dit")), odd, kind));
        let files = ["--dit", "x.gguf", "--text-encoder", "umt5.safetensors", "--vae", "vae.safetensors"];
        let want = format!(
            "error: `{odd}` in `x.gguf` is of type {want}, which cannot be used as a weight\n\nhint: choose the fp16, \
             bf16, fp8_e4m3fn or fp8_scaled form of this model, or a GGUF of Q2_K to Q8_0"
        );
        check(&folder, &[&["generate", "x"], &files[..], TINY].concat(), &want);
    }
}

/// A GGUF file of `f32` tensors, one of which says that it is of another type.
fn gguf(tensors: &Tensors, odd: &str, kind: u32) -> Vec<u8> {
    let mut header = b"GGUF".to_vec();
    header.extend(3u32.to_le_bytes());
    // No metadata.
    header.extend([tensors.len() as u64, 0].iter().flat_map(|count| count.to_le_bytes()));
    let mut data = Vec::new();
    for (name, tensor) in tensors {
        header.extend((name.len() as u64).to_le_bytes());
        header.extend(name.as_bytes());
        let dims = tensor.dims();
        header.extend((dims.len() as u32).to_le_bytes());
        header.extend(dims.iter().rev().flat_map(|&size| (size as u64).to_le_bytes()));
        header.extend(if name == odd { kind } else { 0 }.to_le_bytes());
        header.extend((data.len() as u64).to_le_bytes());
        data.extend(tensor.to_vec().iter().flat_map(|value| value.to_le_bytes()));
        data.resize(data.len().next_multiple_of(32), 0);
    }
    header.resize(header.len().next_multiple_of(32), 0);
    [header, data].concat()
}
