//! `inspect`.

use crate::support::Folder;

#[test]
fn a_checkpoint_is_named_with_sizes_types_and_problems() {
    let folder = Folder::new();
    folder.add_nano();
    folder.add_changed_nano("vae", |tensors| {
        tensors.remove("decoder.conv1.bias").expect("the tensor to leave out");
    });
    let text = folder.success(&["inspect", "dit.safetensors", "umt5.safetensors", "vae.safetensors"]);
    for line in [
        "dit.safetensors: Wan-shaped diffusion model",
        "umt5.safetensors: UMT5-shaped text encoder",
        "  note       the tokenizer's model is inside",
        "  problems   none",
        "  problem    1 tensor is missing: decoder.conv1.bias",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn json_is_one_object_or_an_array() {
    let folder = Folder::new();
    folder.add_nano();
    let one = folder.success(&["inspect", "--json", "dit.safetensors"]);
    let one: serde_json::Value = serde_json::from_str(&one).unwrap();
    assert_eq!(one["parts"][0]["kind"], "diffusion_model");
    assert_eq!(one["parts"][0]["sizes"]["in_channels"], 16);
    let two = folder.success(&["inspect", "--json", "--tensors", "dit.safetensors", "vae.safetensors"]);
    let two: serde_json::Value = serde_json::from_str(&two).unwrap();
    let tensors = two[1]["tensors"].as_array().unwrap();
    assert!(tensors.iter().any(|tensor| tensor["name"] == "decoder.conv1.weight" && tensor["shape"][1] == 16));
}

#[test]
fn a_video_says_what_made_it() {
    let folder = Folder::new();
    folder.success(&[&["generate", "a blue square", "-o", "x.mp4"], crate::support::TINY].concat());
    let text = folder.success(&["inspect", "x.mp4"]);
    assert!(text.starts_with("x.mp4: made by vitascope"), "{text}");
    assert!(text.contains("prompt     a blue square"), "{text}");
}
