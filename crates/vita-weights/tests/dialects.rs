//! Every dialect gives a loader the same names.

mod common;

use std::collections::BTreeMap;

use common::{Put, f32s, failure, file, names_and_shapes, of_layout, small, text, weights, zeros};
use vita_tensor::{DType, Dims};
use vita_weights::{Checkpoint, ClipVisionFacts, DitFacts, Layout, Role, Umt5Facts, VaeFacts, VaeGeneration};

const PREFIXES: [(Role, &[&str]); 4] = [
    (Role::DiffusionModel, &["", "model.diffusion_model.", "diffusion_model.", "model.", "net.", "model.model."]),
    (Role::TextEncoder, &["", "text_encoders.umt5xxl.transformer."]),
    (Role::Vae, &["", "model.", "vae."]),
    (Role::ClipVision, &["", "image_encoder."]),
];

fn layout(role: Role) -> Layout {
    match role {
        Role::DiffusionModel => small::dit().layout(),
        Role::TextEncoder => small::umt5().layout(),
        Role::Vae => small::vae().layout(),
        Role::ClipVision => small::clip_vision().layout(),
    }
}

#[test]
fn prefixes_are_taken_off() {
    for (role, prefixes) in PREFIXES {
        for prefix in prefixes {
            let mut puts = of_layout(&layout(role), "BF16", prefix);
            // What else all-in-one files hold must not confuse.
            puts.push(zeros("model_ema.decay", "F32", &[]));
            let weights = weights(&puts, role);
            for (name, dims) in layout(role) {
                assert_eq!(weights.get(&name, &dims).unwrap().dims(), dims, "{prefix}{name}");
            }
        }
    }
}

#[test]
fn networks_of_one_file_are_told_apart() {
    let parts: [(Role, &str); 3] = [
        (Role::DiffusionModel, "model.diffusion_model."),
        (Role::TextEncoder, "text_encoders.umt5xxl.transformer."),
        (Role::Vae, "vae."),
    ];
    let mut puts: Vec<Put> = parts.iter().flat_map(|(role, prefix)| of_layout(&layout(*role), "F16", prefix)).collect();
    puts.push(text("text_encoders.umt5xxl.spiece_model", "pieces"));
    let checkpoint = common::checkpoint(&puts);
    for (role, _) in parts {
        let weights = checkpoint.weights(role).unwrap();
        assert_eq!(weights.all().count(), layout(role).len());
    }
    let embedded = checkpoint.weights(Role::TextEncoder).unwrap().embedded("spiece_model");
    assert_eq!(embedded.as_deref(), Some(&b"pieces"[..]));
}

/// A list drawn by other programs: every name must become one of ours, of the same shape.
#[track_caller]
fn check_list(list: &str, role: Role, want: &Layout, pairs: &[(&str, &str)]) {
    let names = names_and_shapes(list);
    // Marks each tensor by its place in the list, where it has room for that.
    let puts: Vec<Put> = names
        .iter()
        .enumerate()
        .map(|(index, (name, dims))| {
            let count: usize = dims.iter().product();
            f32s(name.clone(), dims, &vec![index as f32; count])
        })
        .collect();
    let weights = weights(&puts, role);
    let found: BTreeMap<&str, Vec<usize>> = weights.all().map(|(name, stored)| (name, stored.dims.to_vec())).collect();
    let want: BTreeMap<&str, Vec<usize>> = want.iter().map(|(name, dims)| (name.as_str(), dims.to_vec())).collect();
    assert_eq!(found, want);
    for (foreign, ours) in pairs {
        let index = names.iter().position(|(name, _)| name == foreign).unwrap_or_else(|| panic!("{foreign} is listed"));
        let tensor = weights.get(ours, &names[index].1).unwrap();
        assert_eq!(tensor.to_vec()[0], index as f32, "{ours} is {foreign}");
    }
}

#[test]
fn diffusers_transformer() {
    let facts = DitFacts {
        dim: 256,
        ffn_dim: 320,
        head_count: 2,
        in_channels: 36,
        text_dim: 64,
        image_branch: true,
        image_dim: Some(1280),
        first_last_frame: true,
        ..small::dit()
    };
    let list = include_str!("names/diffusers_dit.txt");
    check_list(
        list,
        Role::DiffusionModel,
        &facts.layout(),
        &[
            ("scale_shift_table", "head.modulation"),
            ("proj_out.weight", "head.head.weight"),
            ("condition_embedder.time_embedder.linear_1.bias", "time_embedding.0.bias"),
            ("condition_embedder.time_embedder.linear_2.weight", "time_embedding.2.weight"),
            ("condition_embedder.text_embedder.linear_1.bias", "text_embedding.0.bias"),
            ("condition_embedder.text_embedder.linear_2.weight", "text_embedding.2.weight"),
            ("condition_embedder.time_proj.weight", "time_projection.1.weight"),
            ("condition_embedder.image_embedder.norm1.weight", "img_emb.proj.0.weight"),
            ("condition_embedder.image_embedder.ff.net.0.proj.bias", "img_emb.proj.1.bias"),
            ("condition_embedder.image_embedder.ff.net.2.bias", "img_emb.proj.3.bias"),
            ("condition_embedder.image_embedder.norm2.weight", "img_emb.proj.4.weight"),
            ("blocks.1.attn1.to_q.weight", "blocks.1.self_attn.q.weight"),
            ("blocks.1.attn1.to_k.weight", "blocks.1.self_attn.k.weight"),
            ("blocks.1.attn1.to_v.weight", "blocks.1.self_attn.v.weight"),
            ("blocks.1.attn1.to_out.0.weight", "blocks.1.self_attn.o.weight"),
            ("blocks.1.attn1.norm_q.weight", "blocks.1.self_attn.norm_q.weight"),
            ("blocks.0.attn2.to_k.bias", "blocks.0.cross_attn.k.bias"),
            ("blocks.0.attn2.add_k_proj.weight", "blocks.0.cross_attn.k_img.weight"),
            ("blocks.0.attn2.add_v_proj.weight", "blocks.0.cross_attn.v_img.weight"),
            ("blocks.0.attn2.norm_added_k.weight", "blocks.0.cross_attn.norm_k_img.weight"),
            ("blocks.0.norm2.weight", "blocks.0.norm3.weight"),
            ("blocks.0.ffn.net.0.proj.bias", "blocks.0.ffn.0.bias"),
            ("blocks.0.ffn.net.2.bias", "blocks.0.ffn.2.bias"),
            ("blocks.0.scale_shift_table", "blocks.0.modulation"),
        ],
    );
    let puts: Vec<Put> = names_and_shapes(list).iter().map(|(name, dims)| zeros(name.clone(), "F16", dims)).collect();
    assert_eq!(weights(&puts, Role::DiffusionModel).dit_facts().unwrap(), facts);
}

#[test]
fn diffusers_autoencoders() {
    let vae21 = VaeFacts {
        generation: VaeGeneration::Wan21,
        encoder_dim: 8,
        decoder_dim: 16,
        latent_channels: 4,
        image_channels: 3,
    };
    let common = [
        ("quant_conv.weight", "conv1.weight"),
        ("post_quant_conv.bias", "conv2.bias"),
        ("encoder.conv_in.bias", "encoder.conv1.bias"),
        ("decoder.norm_out.gamma", "decoder.head.0.gamma"),
        ("decoder.conv_out.weight", "decoder.head.2.weight"),
        ("decoder.mid_block.resnets.0.norm1.gamma", "decoder.middle.0.residual.0.gamma"),
        ("decoder.mid_block.attentions.0.to_qkv.weight", "decoder.middle.1.to_qkv.weight"),
        ("decoder.mid_block.resnets.1.conv2.bias", "decoder.middle.2.residual.6.bias"),
    ];
    let only_21 = [
        ("encoder.down_blocks.5.time_conv.bias", "encoder.downsamples.5.time_conv.bias"),
        ("decoder.up_blocks.0.resnets.2.norm2.gamma", "decoder.upsamples.2.residual.3.gamma"),
        ("decoder.up_blocks.1.upsamplers.0.resample.1.bias", "decoder.upsamples.7.resample.1.bias"),
        ("decoder.up_blocks.1.resnets.0.conv_shortcut.bias", "decoder.upsamples.4.shortcut.bias"),
        ("decoder.up_blocks.3.resnets.2.conv1.weight", "decoder.upsamples.14.residual.2.weight"),
    ];
    let list = include_str!("names/diffusers_vae21.txt");
    check_list(list, Role::Vae, &vae21.layout(), &[&common[..], &only_21].concat());

    let vae22 = VaeFacts { generation: VaeGeneration::Wan22, latent_channels: 6, image_channels: 12, ..vae21 };
    let only_22 = [
        ("encoder.down_blocks.1.downsampler.time_conv.bias", "encoder.downsamples.1.downsamples.2.time_conv.bias"),
        ("encoder.down_blocks.3.resnets.1.conv2.bias", "encoder.downsamples.3.downsamples.1.residual.6.bias"),
        ("decoder.up_blocks.2.upsampler.resample.1.bias", "decoder.upsamples.2.upsamples.3.resample.1.bias"),
        ("decoder.up_blocks.2.resnets.0.conv_shortcut.bias", "decoder.upsamples.2.upsamples.0.shortcut.bias"),
    ];
    let list = include_str!("names/diffusers_vae22.txt");
    check_list(list, Role::Vae, &vae22.layout(), &[&common[..], &only_22].concat());
}

#[test]
fn hugging_face_text_encoder() {
    let facts = Umt5Facts { vocab_size: 300, dim: 96, ffn_dim: 160, head_count: 4, head_dim: 16, ..small::umt5() };
    check_list(include_str!("names/transformers_umt5.txt"), Role::TextEncoder, &facts.layout(), &[]);
}

/// Two dialects hold query, key and value as one weight, and add axes of one.
#[test]
fn clip_vision_encoders() {
    let facts = small::clip_vision();
    let fused = ClipVisionFacts {
        fused_qkv: true,
        embedding_dims: [Dims::from([1, 1, 80]), Dims::from([1, 5, 80])],
        unused: Vec::new(),
        ..facts.clone()
    };
    let official = [
        ("visual.cls_embedding", "embeddings.class_embedding"),
        ("visual.pos_embedding", "embeddings.position_embedding.weight"),
        ("visual.patch_embedding.weight", "embeddings.patch_embedding.weight"),
        ("visual.pre_norm", "pre_layrnorm"),
        ("visual.transformer", "encoder.layers"),
        ("norm1", "layer_norm1"),
        ("attn.to_qkv", "self_attn.qkv_proj"),
        ("attn.proj", "self_attn.out_proj"),
        ("norm2", "layer_norm2"),
        ("mlp.0", "mlp.fc1"),
        ("mlp.2", "mlp.fc2"),
    ];
    let open_clip = [
        ("visual.class_embedding", "embeddings.class_embedding"),
        ("visual.positional_embedding", "embeddings.position_embedding.weight"),
        ("visual.conv1.weight", "embeddings.patch_embedding.weight"),
        ("visual.ln_pre", "pre_layrnorm"),
        ("visual.transformer.resblocks", "encoder.layers"),
        ("ln_1", "layer_norm1"),
        ("attn.in_proj_", "self_attn.qkv_proj."),
        ("attn.out_proj", "self_attn.out_proj"),
        ("ln_2", "layer_norm2"),
        ("mlp.c_fc", "mlp.fc1"),
        ("mlp.c_proj", "mlp.fc2"),
    ];
    let flat = ClipVisionFacts { embedding_dims: facts.embedding_dims, ..fused.clone() };
    for (names, facts, naming) in [
        (&official, &fused, "official names"),
        (&open_clip, &flat, "OpenCLIP names"),
        (&[("", ""); 11], &facts, "Hugging Face names"),
    ] {
        let foreign = |name: &str| match naming {
            "Hugging Face names" => name.to_owned(),
            _ => names
                .iter()
                .rev()
                .fold(name.replace("vision_model.", ""), |name, (theirs, ours)| name.replace(ours, theirs)),
        };
        let layout = facts.layout();
        let puts: Vec<Put> = layout.iter().map(|(name, dims)| zeros(foreign(name), "F16", dims)).collect();
        let checkpoint = common::checkpoint(&puts);
        let weights = checkpoint.weights(Role::ClipVision).unwrap();
        assert_eq!(&weights.clip_vision_facts().unwrap(), facts);
        for (name, dims) in &layout {
            assert_eq!(weights.get(name, dims).unwrap().dims(), *dims, "{name}");
        }
        let part = &vita_weights::identify(&checkpoint).parts[0];
        assert_eq!((part.naming.as_str(), &part.notes[..], &part.problems[..]), (naming, &[][..], &[][..]));
    }
}

#[test]
fn official_text_encoder() {
    const LAYERS: [(&str, &str); 10] = [
        ("norm1", "layer.0.layer_norm"),
        ("attn.q", "layer.0.SelfAttention.q"),
        ("attn.k", "layer.0.SelfAttention.k"),
        ("attn.v", "layer.0.SelfAttention.v"),
        ("attn.o", "layer.0.SelfAttention.o"),
        ("pos_embedding.embedding", "layer.0.SelfAttention.relative_attention_bias"),
        ("norm2", "layer.1.layer_norm"),
        ("ffn.gate.0", "layer.1.DenseReluDense.wi_0"),
        ("ffn.fc1", "layer.1.DenseReluDense.wi_1"),
        ("ffn.fc2", "layer.1.DenseReluDense.wo"),
    ];
    let official = |name: &str| match name {
        "shared.weight" => "token_embedding.weight".to_owned(),
        "encoder.final_layer_norm.weight" => "norm.weight".to_owned(),
        _ => {
            let (block, layer) = name.strip_prefix("encoder.block.").unwrap().split_once('.').unwrap();
            let layer = layer.strip_suffix(".weight").unwrap();
            let (official, _) = LAYERS.iter().find(|(_, ours)| *ours == layer).unwrap();
            format!("blocks.{block}.{official}.weight")
        }
    };
    let layout = small::umt5().layout();
    let puts: Vec<Put> = layout.iter().map(|(name, dims)| zeros(official(name), "BF16", dims)).collect();
    let weights = weights(&puts, Role::TextEncoder);
    for (name, dims) in &layout {
        assert_eq!(weights.get(name, dims).unwrap().dtype(), DType::BF16, "{name}");
    }
    assert_eq!(weights.umt5_facts().unwrap(), small::umt5());
}

#[test]
fn facts_follow_the_shapes() {
    for image_branch in [false, true] {
        let image_dim = image_branch.then_some(40);
        let facts =
            DitFacts { in_channels: 36, image_branch, image_dim, first_last_frame: image_branch, ..small::dit() };
        let puts = of_layout(&facts.layout(), "F16", "");
        assert_eq!(weights(&puts, Role::DiffusionModel).dit_facts().unwrap(), facts);
    }
    for (generation, image_channels) in [(VaeGeneration::Wan21, 3), (VaeGeneration::Wan22, 12)] {
        let facts = VaeFacts { generation, image_channels, decoder_dim: 6, ..small::vae() };
        let puts = of_layout(&facts.layout(), "F16", "");
        assert_eq!(weights(&puts, Role::Vae).vae_facts().unwrap(), facts);
    }
}

/// The dialects of scaled fp8: one layer, stored as 2.0 with a scale of 0.25.
#[test]
fn scaled_fp8() {
    const LAYER: &str = "blocks.0.self_attn.q";
    struct Case {
        what: &'static str,
        scale_leaf: &'static str,
        extra: Vec<Put>,
        metadata: Option<String>,
    }
    let mark = r#"{"format": "float8_e4m3fn"}"#;
    let quant = |layer: &str| Some(format!(r#"{{"format_version": "1.0", "layers": {{"{layer}": {mark}}}}}"#));
    for prefix in ["", "model.diffusion_model."] {
        let cases = [
            Case {
                what: "old mark",
                scale_leaf: "scale_weight",
                extra: vec![
                    zeros(format!("{prefix}scaled_fp8"), "F8_E4M3", &[0]),
                    f32s(format!("{prefix}{LAYER}.scale_input"), &[], &[0.5]),
                ],
                metadata: None,
            },
            Case {
                what: "new mark in a tensor",
                scale_leaf: "weight_scale",
                extra: vec![text(format!("{prefix}{LAYER}.comfy_quant"), mark)],
                metadata: None,
            },
            Case {
                what: "new mark in the metadata",
                scale_leaf: "weight_scale",
                extra: vec![f32s(format!("{prefix}{LAYER}.input_scale"), &[1], &[0.5])],
                metadata: quant(&format!("{prefix}{LAYER}")),
            },
            Case { what: "no mark", scale_leaf: "scale_weight", extra: vec![], metadata: None },
            Case { what: "no mark, other name", scale_leaf: "weight_scale", extra: vec![], metadata: None },
        ];
        for Case { what, scale_leaf, extra, metadata } in cases {
            for scale_dims in [&[][..], &[1], &[1, 1]] {
                let mut puts = of_layout(&small::dit().layout(), "BF16", prefix);
                let put = puts.iter_mut().find(|put| put.name == format!("{prefix}{LAYER}.weight")).unwrap();
                *put = zeros(put.name.clone(), "F8_E4M3", &[128, 128]);
                put.bytes.fill(0x40); // 2.0
                puts.extend(extra.iter().cloned());
                puts.push(f32s(format!("{prefix}{LAYER}.{scale_leaf}"), scale_dims, &[0.25]));
                let metadata: Vec<(&str, &str)> =
                    metadata.iter().map(|table| ("_quantization_metadata", table.as_str())).collect();
                let checkpoint = Checkpoint::from_bytes(file(&puts, &metadata), "m").unwrap();
                let weights = checkpoint.weights(Role::DiffusionModel).unwrap().scope("blocks").scope(0);
                let weight = weights.weight("self_attn.q.weight", &[128, 128]).unwrap();
                assert_eq!((weight.tensor.dtype(), weight.scale), (DType::F8E4M3, Some(0.25)), "{what}");
                assert_eq!(weights.get("self_attn.q.weight", &[128, 128]).unwrap().at(&[5, 7]), 0.5, "{what}");
                assert_eq!(weights.weight("self_attn.k.weight", &[128, 128]).unwrap().scale, None, "{what}");
            }
        }
    }
}

#[test]
fn plain_fp8_has_no_scale() {
    for (name, dtype) in [("F8_E4M3", DType::F8E4M3), ("F8_E5M2", DType::F8E5M2)] {
        let weights = weights(&of_layout(&small::dit().layout(), name, ""), Role::DiffusionModel);
        let weight = weights.weight("head.head.weight", &[64, 128]).unwrap();
        assert_eq!((weight.tensor.dtype(), weight.scale), (dtype, None));
    }
}

#[test]
fn scales_of_renamed_layers_are_found() {
    let mut puts = of_layout(&small::umt5().layout(), "F16", "");
    puts.retain(|put| !put.name.ends_with("wi_0.weight"));
    for put in &mut puts {
        put.name = put.name.replace("encoder.block.0.layer.0.SelfAttention", "blocks.0.attn");
    }
    // Official names, so the other layers are not found; enough for one layer.
    puts.retain(|put| put.name.starts_with("blocks."));
    puts.push(f32s("blocks.0.attn.q.scale_weight", &[], &[3.0]));
    let weights = weights(&puts, Role::TextEncoder);
    let weight = weights.weight("encoder.block.0.layer.0.SelfAttention.q.weight", &[16, 24]).unwrap();
    assert_eq!(weight.scale, Some(3.0));
}

#[test]
fn unknown_quantisations_name_layer_and_format() {
    let hint = "choose the fp16, bf16, fp8_e4m3fn or fp8_scaled form of this model, or a GGUF of Q2_K to Q8_0";
    for (extra, layer, format) in [
        (vec![text("blocks.0.ffn.0.comfy_quant", r#"{"format": "nvfp4"}"#)], "blocks.0.ffn.0", "nvfp4"),
        (
            vec![text("blocks.0.ffn.0.comfy_quant", "no json")],
            "blocks.0.ffn.0",
            "something unreadable (comfy_quant: expected ident at line 1 column 2)",
        ),
        (
            vec![zeros("blocks.0.ffn.0.weight_scale", "F32", &[192, 1])],
            "blocks.0.ffn.0",
            "values with scales of shape [192, 1]",
        ),
    ] {
        let mut puts = of_layout(&small::dit().layout(), "F8_E4M3", "");
        puts.extend(extra);
        let weights = weights(&puts, Role::DiffusionModel);
        assert_eq!(
            failure(weights.weight("blocks.0.ffn.0.weight", &[192, 128])),
            (
                format!("layer `{layer}` in `model.safetensors` is quantised as {format}, which is not supported"),
                hint.into()
            )
        );
        assert!(weights.weight("blocks.1.ffn.0.weight", &[192, 128]).is_ok());
    }
}

#[test]
fn a_scope_counts_and_looks() {
    let weights = weights(&of_layout(&small::dit().layout(), "F32", "model."), Role::DiffusionModel);
    assert_eq!(
        (weights.count("blocks"), weights.count("no"), weights.scope("blocks").scope(1).count("ffn")),
        (2, 0, 1)
    );
    assert!(weights.contains("blocks.1.modulation") && !weights.contains("blocks.2.modulation"));
    assert_eq!(weights.scope("head").dims("modulation").map(|dims| dims.to_vec()), Some(vec![1, 2, 128]));
}
