//! `convert`.

use std::collections::BTreeMap;

use vita_tensor::Tensor;

use crate::support::{FILES, Folder, TINY};

#[test]
fn a_shrunk_model_makes_videos() {
    let folder = Folder::new();
    folder.add_nano();
    let small = |dtype: &str, output: &str| folder.success(&["convert", "dit.safetensors", output, "--dtype", dtype]);
    let text = small("fp8_scaled", "small.safetensors");
    assert!(text.starts_with("small.safetensors: ") && text.ends_with(" MiB\n"), "{text}");
    small("q8_0", "small.gguf");
    folder.success(&["convert", "umt5.safetensors", "umt5.gguf", "--dtype", "q8_0"]);
    folder.success(&["convert", "vae.safetensors", "vae-d.safetensors", "--to", "diffusers", "--dtype", "bf16"]);
    let said = folder.success(&["inspect", "small.safetensors", "small.gguf", "umt5.gguf", "vae-d.safetensors"]);
    for line in [
        "small.safetensors: Wan-shaped diffusion model",
        "storage    fp8_e4m3fn and f16, scaled (ComfyUI, old mark)",
        "small.gguf: Wan-shaped diffusion model",
        "storage    q8_0 and f16",
        "note       the tokenizer's model is inside",
        "names      diffusers names",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert_eq!(said.matches("problems   none").count(), 4, "{said}");

    for (dit, text_encoder, vae) in
        [("small.safetensors", "umt5.safetensors", "vae.safetensors"), ("small.gguf", "umt5.gguf", "vae-d.safetensors")]
    {
        let files = ["--dit", dit, "--text-encoder", text_encoder, "--vae", vae];
        folder.success(&[&["generate", "a red ball", "-o", "x.mp4"], TINY, &files].concat());
    }
    // As it was before, for comparison of what is accepted.
    folder.success(&[&["generate", "a red ball", "-o", "x.mp4"], TINY, FILES].concat());
}

#[test]
fn the_new_size_is_told_before() {
    let folder = Folder::new();
    folder.add_nano();
    let ended = folder.run(&["convert", "dit.safetensors", "b.safetensors", "--dtype", "f32"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let size = ended.stdout.trim().strip_prefix("b.safetensors: ").unwrap();
    assert!(ended.stderr.contains(&format!(", will be {size}: ")), "{}", ended.stderr);
}

#[test]
fn what_is_refused() {
    let folder = Folder::new();
    folder.add_nano();
    let zeros = Tensor::zeros([4, 8]);
    let lora = ["up", "down"].map(|part| (format!("blocks.0.self_attn.q.lora_{part}.weight"), zeros.clone()));
    folder.write_tensors("lora.safetensors", &BTreeMap::from(lora));
    folder.write("there.safetensors", "x");
    folder.write("pipeline.json", "{}");
    std::fs::create_dir(folder.path().join("pipeline")).unwrap();
    folder.write("pipeline/model_index.json", "{}");
    let before = folder.names();
    for (arguments, message, hint) in [
        (&["dit.safetensors", "there.safetensors"][..], "`there.safetensors` is there already", "add --force"),
        (
            &["dit.safetensors", "./dit.safetensors", "--force"],
            "`./dit.safetensors` is the input too",
            "choose another",
        ),
        (&["dit.safetensors", "new.gguf"], "`new.gguf` does not end in .safetensors", "call it new.safetensors"),
        (
            &["dit.safetensors", "new.safetensors", "--dtype", "q8_0"],
            "`new.safetensors` does not end in .gguf",
            "q8_0 is a storage of GGUF files: call it new.gguf",
        ),
        (&["lora.safetensors", "new.safetensors"], "it is a LoRA, not a model", "LoRAs are small"),
        (
            &["vae.safetensors", "new.safetensors", "--dtype", "fp8_scaled"],
            "a VAE does not stand 8 bits, and is small",
            "choose bf16, f16 or f32",
        ),
        (&["none.safetensors", "new.safetensors"], "none.safetensors", "check the path"),
        (&["pipeline.json", "new.safetensors"], "pipeline.json", ""),
        (&["pipeline", "new.safetensors"], "`pipeline` is a pipeline of several models", "pipeline/transformer"),
        (&["dit.safetensors", "no/new.safetensors"], "cannot write `no/new.safetensors`", "create the folder first"),
    ] {
        let ended = folder.run(&[&["convert"], arguments].concat());
        assert_eq!(ended.code, Some(1), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(message), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(hint), "{arguments:?}: {}", ended.stderr);
    }
    let unknown = folder.run(&["convert", "dit.safetensors", "new.safetensors", "--dtype", "int3"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("fp8_scaled, fp8_e4m3fn, bf16, f16, f32, q8_0"), "{}", unknown.stderr);
    assert_eq!(folder.names(), before, "nothing is written, and nothing is lost");

    folder.success(&["convert", "dit.safetensors", "there.safetensors", "--force"]);
    assert!(folder.success(&["inspect", "there.safetensors"]).contains("problems   none"));
}
