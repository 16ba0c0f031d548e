//! What a checkpoint is said to be.

mod common;

use std::fs::File;
use std::io::Write;

use common::{checkpoint, f32s, of_layout, small, text, zeros};
use vita_weights::{
    Checkpoint, ClipVisionFacts, DitFacts, DitVariant, Kind, Layout, Role, Umt5Facts, VaeFacts, identify,
};

fn dit(dim: usize, ffn_dim: usize, layer_count: usize, channels: (usize, usize)) -> DitFacts {
    DitFacts {
        dim,
        ffn_dim,
        head_count: dim / 128,
        layer_count,
        in_channels: channels.0,
        out_channels: channels.1,
        text_dim: 4096,
        ..small::dit()
    }
}

fn parameters(layout: &Layout) -> usize {
    layout.iter().map(|(_, dims)| dims.element_count()).sum()
}

/// Names of systems, and the parameter counts of diffusers' classes of the same configuration.
#[test]
fn systems_by_their_sizes() {
    let image = |facts| DitFacts { image_branch: true, image_dim: Some(1280), ..facts };
    let of_14b = |channels| dit(5120, 13824, 40, channels);
    for (facts, system, count) in [
        (DitFacts::T2V_1_3B, "Wan2.1 T2V 1.3B", Some(1_418_996_800)),
        (DitFacts::T2V_14B, "Wan2.1 T2V 14B", Some(14_288_491_584)),
        (DitFacts::I2V_14B, "Wan2.1 I2V 14B", Some(16_394_878_784)),
        (DitFacts::I2V_A14B, "Wan2.2 I2V A14B expert", Some(14_288_901_184)),
        (DitFacts::TI2V_5B, "Wan2.2 TI2V 5B", Some(4_999_787_712)),
        (DitFacts { first_last_frame: true, ..image(of_14b((36, 16))) }, "Wan2.1 FLF2V 14B", None),
        (image(dit(1536, 8960, 30, (36, 16))), "Wan2.1 Fun-InP 1.3B", None),
        (DitFacts { variant: DitVariant::Vace, ..of_14b((16, 16)) }, "Wan2.1 VACE 14B", None),
        (dit(256, 512, 4, (16, 16)), "Wan-shaped diffusion model, dim 256, 4 layers, 16 to 16 channels", None),
    ] {
        assert_eq!(facts.system(), system);
        if let Some(count) = count {
            assert_eq!(parameters(&facts.layout()), count, "{system}");
        }
    }
    let xxl = Umt5Facts::XXL;
    assert_eq!((xxl.system().as_str(), parameters(&xxl.layout())), ("UMT5-XXL text encoder", 5_680_910_336));

    for (facts, system, tensor_count, count) in
        [(VaeFacts::WAN_21, "Wan 2.1 VAE", 194, 126_892_531), (VaeFacts::WAN_22, "Wan 2.2 VAE", 196, 704_688_668)]
    {
        let layout = facts.layout();
        assert_eq!((facts.system().as_str(), layout.len(), parameters(&layout)), (system, tensor_count, count));
    }
}

#[test]
fn vision_encoders_by_their_sizes() {
    let vit_h = ClipVisionFacts::vit_h_14();
    // Counted on transformers' `CLIPVisionModel`, without the final norm.
    assert_eq!((vit_h.system().as_str(), parameters(&vit_h.layout())), ("CLIP ViT-H/14 vision encoder", 630_763_520));
    assert_eq!(vit_h.unsupported(), None);
    for (facts, problem) in [
        (ClipVisionFacts { dim: 1024, ..vit_h.clone() }, "multiple of its heads' 80; this one's is 1024"),
        (ClipVisionFacts { layer_count: 1, ..vit_h.clone() }, "last block but one"),
        (ClipVisionFacts { position_count: 50, ..vit_h.clone() }, "not those of a square RGB picture"),
        (ClipVisionFacts { image_channels: 4, ..vit_h.clone() }, "not those of a square RGB picture"),
    ] {
        let found = facts.unsupported().unwrap();
        assert!(found.contains(problem), "{found}");
    }
}

/// A file of true size, all of it a hole: to open and to identify it must read nothing but the header.
#[test]
fn a_large_file_is_not_read() {
    let facts = dit(5120, 13824, 40, (16, 16));
    let mut header = String::from("{");
    let mut end = 0;
    for (name, dims) in facts.layout() {
        let start = end;
        end += dims.element_count() * 2;
        let comma = if start == 0 { "" } else { "," };
        header += &format!(r#"{comma}"{name}":{{"dtype":"BF16","shape":{dims},"data_offsets":[{start},{end}]}}"#);
    }
    header += "}";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wan2.1_t2v_14B_bf16.safetensors");
    let mut file = File::create(&path).unwrap();
    file.write_all(&common::with_header(&header, &[])).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();

    let checkpoint = Checkpoint::open(&path).unwrap();
    let identity = identify(&checkpoint);
    assert_eq!((identity.system.as_str(), identity.parameter_count), ("Wan2.1 T2V 14B", 14_288_491_584));
    assert_eq!(identity.parts[0].notes, ["a Wan2.2 T2V A14B expert has the same shapes"]);
    assert!(identity.parts[0].problems.is_empty());
    let weights = checkpoint.weights(Role::DiffusionModel).unwrap();
    let last = weights.weight("blocks.39.ffn.2.weight", &[5120, 13824]).unwrap();
    assert_eq!(last.tensor.at(&[5119, 13823]), 0.0);
}

#[test]
fn storage_is_named() {
    let layer = "blocks.0.self_attn.q";
    for (dtype, extra, want) in [
        ("BF16", vec![], "bf16"),
        ("F8_E4M3", vec![], "fp8_e4m3fn"),
        (
            "F8_E4M3",
            vec![zeros("scaled_fp8", "F8_E4M3", &[2]), f32s(format!("{layer}.scale_weight"), &[], &[1.0])],
            "fp8_e4m3fn, scaled (ComfyUI, old mark)",
        ),
        (
            "F8_E5M2",
            vec![
                text(format!("{layer}.comfy_quant"), r#"{"format":"float8_e5m2"}"#),
                f32s(format!("{layer}.weight_scale"), &[], &[1.0]),
            ],
            "fp8_e5m2, scaled (ComfyUI, new mark)",
        ),
        ("F8_E4M3", vec![f32s(format!("{layer}.scale_weight"), &[], &[1.0])], "fp8_e4m3fn, scaled (no mark)"),
    ] {
        let mut puts = of_layout(&small::dit().layout(), dtype, "");
        puts.extend(extra);
        let part = &identify(&checkpoint(&puts)).parts[0];
        assert_eq!(part.storage, want);
        assert_eq!((part.notes.len(), part.problems.len()), (0, 0), "{part:?}");
    }
}

#[test]
fn problems_are_listed() {
    let mut puts = of_layout(&small::dit().layout(), "BF16", "net.");
    puts.retain(|put| !put.name.contains("blocks.0.cross_attn.k"));
    for put in &mut puts {
        match put.name.as_str() {
            "net.blocks.1.norm3.bias" => *put = zeros(put.name.clone(), "BF16", &[64]),
            "net.blocks.1.norm3.weight" => *put = zeros(put.name.clone(), "I64", &[128]),
            _ => {}
        }
    }
    puts.push(zeros("net.blocks.0.surprise", "F32", &[3]));
    let identity = identify(&checkpoint(&puts));
    let part = &identity.parts[0];
    assert_eq!(part.naming, "original names with prefix `net.`");
    assert_eq!(
        part.problems,
        [
            "2 tensors are missing: blocks.0.cross_attn.k.bias, blocks.0.cross_attn.k.weight",
            "1 tensor is of another shape: blocks.1.norm3.bias is [64], expected [128]",
            "1 tensor is not floating-point: blocks.1.norm3.weight is i64",
        ]
    );
    assert_eq!(part.notes, ["1 tensor is not part of this network and ignored: blocks.0.surprise"]);
}

#[test]
fn unknown_formats_are_one_problem() {
    let mut puts = of_layout(&small::dit().layout(), "BF16", "");
    for put in puts.iter_mut().filter(|put| put.name.ends_with("ffn.0.weight")) {
        *put = zeros(put.name.clone(), "U8", &[192, 64]);
    }
    for block in 0..2 {
        puts.push(text(format!("blocks.{block}.ffn.0.comfy_quant"), r#"{"format":"nvfp4"}"#));
        puts.push(zeros(format!("blocks.{block}.ffn.0.weight_scale"), "F8_E4M3", &[192, 8]));
        puts.push(zeros(format!("blocks.{block}.ffn.0.weight_scale_2"), "F32", &[]));
    }
    let mut broken = puts.clone();
    // Its ffn width comes from a packed tensor's rows, which packing keeps.
    assert_eq!(
        identify(&checkpoint(&puts)).parts[0].problems,
        ["layers are quantised in ways that are not supported: 2 as nvfp4"]
    );
    broken.push(text("blocks.1.ffn.2.comfy_quant", "{"));
    let problems = &identify(&checkpoint(&broken)).parts[0].problems;
    assert!(problems[0].starts_with("it is quantised as something unreadable"), "{problems:?}");
}

#[test]
fn a_torn_network_is_still_named() {
    let mut puts = of_layout(&small::vae().layout(), "F32", "");
    puts.retain(|put| !put.name.starts_with("encoder."));
    let identity = identify(&checkpoint(&puts));
    assert_eq!(identity.system, "part of a Wan VAE");
    assert_eq!(
        identity.parts[0].problems,
        ["`model.safetensors` does not fit a Wan VAE: `encoder.conv1.weight` is missing"]
    );
}

#[test]
fn other_files() {
    for (name, system) in [
        ("diffusion_model.blocks.0.self_attn.q.lora_A.weight", "LoRA"),
        ("lora_unet_blocks_0_ffn_0.lora_down.weight", "LoRA"),
        ("visual.patch_embedding.weight", "part of a CLIP vision encoder"),
        ("vision_model.embeddings.patch_embedding.weight", "part of a CLIP vision encoder"),
        ("double_blocks.0.img_attn.qkv.weight", "Flux or HunyuanVideo diffusion model"),
        ("model.diffusion_model.input_blocks.0.0.weight", "Stable Diffusion model"),
        ("something.weight", "no model that is known here"),
    ] {
        assert_eq!(identify(&checkpoint(&[zeros(name, "F16", &[2, 2])])).system, system);
    }
}

#[test]
fn an_all_in_one_file_has_parts() {
    let mut puts = of_layout(&small::dit().layout(), "F16", "model.diffusion_model.");
    puts.extend(of_layout(&small::vae().layout(), "F32", "vae."));
    puts.push(zeros("extra", "BOOL", &[3]));
    let identity = identify(&checkpoint(&puts));
    let kinds: Vec<Role> = identity.parts.iter().filter_map(|part| part.role()).collect();
    assert_eq!(kinds, [Role::DiffusionModel, Role::Vae]);
    assert!(matches!(identity.parts[1].kind, Kind::Vae(Some(_))));
    assert_eq!(identity.tensor_count, puts.len());
    let types: Vec<&str> = identity.types.iter().map(|count| count.dtype.as_str()).collect();
    assert_eq!(types, ["f16", "f32", "BOOL"]);

    let json = serde_json::to_value(&identity).unwrap();
    assert_eq!(json["parts"][0]["kind"], "diffusion_model");
    assert_eq!(json["parts"][0]["sizes"]["layer_count"], 2);
    assert_eq!(json["parts"][1]["sizes"]["generation"], "wan21");
}
