//! LoRA files in the dialects that people have, and what is said of those that do not fit.

mod common;

use common::{Put, checkpoint, f32s, of_layout, small, zeros};
use vita_base::Hint;
use vita_weights::{Lora, Role, Weights};

fn model() -> Weights {
    checkpoint(&of_layout(&small::dit().layout(), "F32", "")).weights(Role::DiffusionModel).unwrap()
}

fn lora(puts: &[Put]) -> vita_weights::Result<Lora> {
    Lora::of(&checkpoint(puts), &model())
}

/// `up` of ones and `down` of twos.
fn pair(up: &str, down: &str, [rows, columns]: [usize; 2], rank: usize) -> [Put; 2] {
    [f32s(up, &[rows, rank], &vec![1.0; rows * rank]), f32s(down, &[rank, columns], &vec![2.0; rank * columns])]
}

#[test]
fn every_dialect_names_the_same_layers() {
    let (q, k_cross, ffn) = ("blocks.1.self_attn.q", "blocks.0.cross_attn.k", "blocks.1.ffn.0");
    for (up, down, want) in [
        (
            "diffusion_model.blocks.1.self_attn.q.lora_up.weight",
            "diffusion_model.blocks.1.self_attn.q.lora_down.weight",
            q,
        ),
        ("diffusion_model.blocks.1.self_attn.q.lora_B.weight", "diffusion_model.blocks.1.self_attn.q.lora_A.weight", q),
        ("blocks.1.self_attn.q.lora_B.default.weight", "blocks.1.self_attn.q.lora_A.default.weight", q),
        ("base_model.model.blocks.1.ffn.0.lora_B.weight", "base_model.model.blocks.1.ffn.0.lora_A.weight", ffn),
        (
            "base_model.model.diffusion_model.blocks.0.cross_attn.k.lora_B.style.weight",
            "base_model.model.diffusion_model.blocks.0.cross_attn.k.lora_A.style.weight",
            k_cross,
        ),
        ("lora_unet_blocks_1_self_attn_q.lora_up.weight", "lora_unet_blocks_1_self_attn_q.lora_down.weight", q),
        ("lora_unet__blocks_1_ffn_0.lora_up.weight", "lora_unet__blocks_1_ffn_0.lora_down.weight", ffn),
        ("lycoris_blocks_0_cross_attn_k.lora_up.weight", "lycoris_blocks_0_cross_attn_k.lora_down.weight", k_cross),
        (
            "pipe.dit.blocks.1.self_attn.q.lora_B.default.weight",
            "pipe.dit.blocks.1.self_attn.q.lora_A.default.weight",
            q,
        ),
        ("transformer.blocks.1.attn1.to_q.lora_B.weight", "transformer.blocks.1.attn1.to_q.lora_A.weight", q),
        ("transformer.blocks.0.attn2.to_k.lora.up.weight", "transformer.blocks.0.attn2.to_k.lora.down.weight", k_cross),
        ("blocks.1.attn1.processor.to_q_lora.up.weight", "blocks.1.attn1.processor.to_q_lora.down.weight", q),
        ("transformer.blocks.1.ffn.net.0.proj.lora_B.weight", "transformer.blocks.1.ffn.net.0.proj.lora_A.weight", ffn),
        ("lora_unet_blocks_1_ffn_net_0_proj.lora_up.weight", "lora_unet_blocks_1_ffn_net_0_proj.lora_down.weight", ffn),
        (
            "transformer.blocks.0.attn1.to_out.0.lora_B.weight",
            "transformer.blocks.0.attn1.to_out.0.lora_A.weight",
            "blocks.0.self_attn.o",
        ),
        (
            "transformer.condition_embedder.time_embedder.linear_1.lora_B.weight",
            "transformer.condition_embedder.time_embedder.linear_1.lora_A.weight",
            "time_embedding.0",
        ),
        ("diffusion_model.head.head.lora_up.weight", "diffusion_model.head.head.lora_down.weight", "head.head"),
    ] {
        let dims = match want {
            "blocks.1.ffn.0" => [192, 128],
            "time_embedding.0" => [128, 256],
            "head.head" => [64, 128],
            _ => [128, 128],
        };
        let lora = lora(&pair(up, down, dims, 4)).unwrap_or_else(|error| panic!("{up}: {error}"));
        assert_eq!(lora.patches().keys().collect::<Vec<_>>(), [want], "{up}");
        let low_rank = lora.patches()[want].low_rank.as_ref().unwrap();
        assert_eq!((low_rank.up.sizes(), low_rank.down.sizes()), ([dims[0], 4], [4, dims[1]]), "{up}");
        assert_eq!((low_rank.up.to_vec()[0], low_rank.down.to_vec()[0], low_rank.scale), (1.0, 2.0, 1.0), "{up}");
        assert_eq!((lora.warning(), lora.size_bytes()), (None, 4 * 4 * (dims[0] + dims[1])), "{up}");
    }
}

#[test]
fn alpha_is_divided_by_the_rank_and_other_changes_are_read() {
    let mut puts = pair("blocks.0.ffn.2.lora_up.weight", "blocks.0.ffn.2.lora_down.weight", [128, 192], 8).to_vec();
    puts.push(f32s("blocks.0.ffn.2.alpha", &[], &[2.0]));
    for (key, dims) in [
        ("diffusion_model.blocks.0.ffn.2.diff_b", &[128][..]),
        ("diffusion_model.blocks.0.norm3.diff", &[128]),
        ("diffusion_model.blocks.0.norm3.diff_b", &[128]),
        ("diffusion_model.blocks.0.self_attn.norm_q.diff", &[128]),
        ("diffusion_model.blocks.1.diff_m", &[1, 6, 128]),
        ("diffusion_model.head.modulation.diff", &[2, 128]),
        ("diffusion_model.patch_embedding.diff", &[128, 16, 1, 2, 2]),
    ] {
        puts.push(zeros(key, "BF16", dims));
    }
    puts.extend([
        zeros("patch_embedding.lora_up.weight", "F16", &[128, 4, 1, 1, 1]),
        zeros("patch_embedding.lora_down.weight", "F16", &[4, 16, 1, 2, 2]),
    ]);
    let lora = lora(&puts).unwrap();
    let patch = |layer: &str| &lora.patches()[layer];
    assert_eq!(patch("blocks.0.ffn.2").low_rank.as_ref().unwrap().scale, 0.25);
    assert_eq!(patch("blocks.0.ffn.2").bias.as_ref().unwrap().sizes(), [128]);
    assert_eq!(patch("blocks.0.norm3").weight.as_ref().unwrap().sizes(), [128]);
    assert!(patch("blocks.0.norm3").bias.is_some() && patch("blocks.0.self_attn.norm_q").weight.is_some());
    assert_eq!(patch("blocks.1.modulation").weight.as_ref().unwrap().sizes(), [1, 6, 128]);
    assert_eq!(patch("head.modulation").weight.as_ref().unwrap().sizes(), [1, 2, 128]);
    assert_eq!(patch("patch_embedding").weight.as_ref().unwrap().sizes(), [128, 16, 1, 2, 2]);
    assert_eq!(patch("patch_embedding").low_rank.as_ref().unwrap().down.sizes(), [4, 64]);
    assert_eq!((lora.patches().len(), lora.warning()), (6, None));
}

#[test]
fn what_does_not_fit_is_said() {
    let q = |start: &str, dims| {
        pair(&format!("{start}.lora_up.weight"), &format!("{start}.lora_down.weight"), dims, 4).to_vec()
    };
    let half = |puts: Vec<Put>, index: usize| vec![puts[index].clone()];
    let with = |mut puts: Vec<Put>, put: Put| {
        puts.push(put);
        puts
    };
    let here = || q("blocks.0.self_attn.q", [128, 128]);
    let model = "a Wan-shaped diffusion model, dim 128, 2 layers, 16 to 16 channels";
    for (puts, want, hint) in [
        (
            q("lora_unet_double_blocks_0_img_attn_qkv", [128, 128]),
            format!(
                "is no LoRA for {model}: none of its 2 keys match, such as \
                 `lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight`"
            ),
            "seems to be a LoRA for Flux or HunyuanVideo",
        ),
        (
            q("wild.layers.3", [128, 128]),
            format!("is no LoRA for {model}: none of its 2 keys match, such as `wild.layers.3.lora_down.weight`"),
            "seems to be a LoRA for a model that is not known here",
        ),
        (
            of_layout(&small::dit().layout(), "F32", ""),
            format!("is no LoRA for {model}: none of its 69 keys match, such as `blocks.0.cross_attn.k.bias`"),
            "seems to be a Wan-shaped diffusion model",
        ),
        (
            q("blocks.0.self_attn.q", [256, 256]),
            format!(
                "is a LoRA for another size than {model}: it changes [256, 256] in `blocks.0.self_attn.q`, which is \
                 [128, 128] there"
            ),
            "made for",
        ),
        (
            vec![zeros("blocks.0.norm3.diff", "F32", &[64])],
            format!(
                "is a LoRA for another size than {model}: it changes [64] in `blocks.0.norm3`, which is [128] there"
            ),
            "made for",
        ),
        (
            vec![zeros("blocks.0.ffn.0.hada_w1_a", "F32", &[4])],
            "changes `blocks.0.ffn.0` by LoHa, which is not supported".to_owned(),
            "choose a plain LoRA",
        ),
        (
            vec![zeros("lycoris_blocks_0_ffn_0.lokr_w1", "F32", &[4])],
            "changes `blocks.0.ffn.0` by LoKr, which is not supported".to_owned(),
            "choose a plain LoRA",
        ),
        (
            with(here(), zeros("blocks.0.self_attn.q.dora_scale", "F32", &[128])),
            "changes `blocks.0.self_attn.q` by DoRA, which is not supported".to_owned(),
            "choose a plain LoRA",
        ),
        (
            half(here(), 0),
            "is damaged: for `blocks.0.self_attn.q` it has the half `up` (`lora_B`) without `down` (`lora_A`)"
                .to_owned(),
            "download the file again",
        ),
        (
            with(half(here(), 0), zeros("blocks.0.self_attn.q.lora_down.weight", "F32", &[3, 128])),
            "is damaged: for `blocks.0.self_attn.q` it has `up` of rank 4 and `down` of rank 3".to_owned(),
            "download the file again",
        ),
        (
            with(here(), zeros("blocks.0.self_attn.q.alpha", "F32", &[2])),
            "is damaged: for `blocks.0.self_attn.q` it has an `alpha` that is not one number".to_owned(),
            "download the file again",
        ),
        (
            with(half(here(), 0), zeros("blocks.0.self_attn.q.lora_down.weight", "F32", &[128])),
            "is damaged: for `blocks.0.self_attn.q` it has a vector in place of a matrix".to_owned(),
            "download the file again",
        ),
        (
            with(half(here(), 0), zeros("blocks.0.self_attn.q.lora_down.weight", "I32", &[4, 128])),
            "in `model.safetensors` is of type".to_owned(),
            "choose the fp16",
        ),
    ] {
        let error = lora(&puts).unwrap_err();
        assert!(error.to_string().contains(&want), "{error}\nwant {want}");
        assert!(error.hint().unwrap().contains(hint), "{:?}\nwant {hint}", error.hint());
    }
}

#[test]
fn what_fits_in_part_is_counted() {
    let mut puts = Vec::new();
    for layer in ["blocks.0.self_attn.q", "blocks.0.cross_attn.k_img", "blocks.7.ffn.0"] {
        puts.extend(pair(&format!("{layer}.lora_B.weight"), &format!("{layer}.lora_A.weight"), [128, 128], 4));
    }
    let lora = lora(&puts).unwrap();
    assert_eq!(lora.patches().len(), 1);
    assert_eq!(
        lora.warning().unwrap(),
        "4 of 6 keys of `model.safetensors` match nothing in the model, such as \
         `blocks.0.cross_attn.k_img.lora_A.weight`"
    );
}
