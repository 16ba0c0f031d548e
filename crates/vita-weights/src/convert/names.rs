//! From canonical names to those of a dialect: the way back of `networks/`, which tests hold it to.

use vita_tensor::{DType, Dims};

use super::{Dialect, Piece, Tensor};
use crate::error::{ErrorKind, Result};
use crate::naming::{split_index, split_leaf};
use crate::networks::dit;
use crate::{Role, Weights, fp8};

/// Whose names, and for which network.
pub struct Target {
    pub role: Role,
    pub dialect: Dialect,
    pub is_gguf: bool,
}

impl Target {
    /// The name of a tensor. One that is not known stays as it is.
    pub fn name(&self, name: &str) -> String {
        let renamed = match (self.role, self.dialect) {
            (Role::DiffusionModel, Dialect::Diffusers) => dit_to_diffusers(name),
            (Role::DiffusionModel, _) => None,
            (Role::TextEncoder, _) if self.is_gguf => text_encoder_by(name, GGUF),
            (Role::TextEncoder, Dialect::Kijai | Dialect::Official) => text_encoder_by(name, OFFICIAL),
            (Role::TextEncoder, _) => None,
            (Role::Vae, Dialect::Diffusers) => vae_to_diffusers(name),
            (Role::Vae, _) => None,
            (Role::ClipVision, Dialect::Kijai | Dialect::Official) => clip_vision_to_official(name),
            (Role::ClipVision, _) => None,
        };
        renamed.unwrap_or_else(|| name.to_owned())
    }
}

/// The network's tensors as a dialect divides them; scales and marks of quantisation are left out.
///
/// # Errors
/// If parts that a dialect keeps in one tensor do not fit together.
pub fn rearranged(weights: &Weights, dialect: Dialect) -> Result<Vec<Tensor>> {
    let is_fused = matches!(dialect, Dialect::Kijai | Dialect::Official);
    let mut tensors = Vec::new();
    for (name, stored) in weights.all() {
        let leaf = split_leaf(name).1;
        let is_side =
            fp8::SCALE_SUFFIXES.contains(&leaf) || fp8::SIDE_SUFFIXES.contains(&leaf) || leaf == fp8::OLD_MARK;
        let Some(source) = stored.element_type.dtype().filter(|_| !is_side && name != "spiece_model") else { continue };
        let key = weights.names().key(name).unwrap_or(name).to_owned();
        let piece = |rows, is_turned| Piece { key: key.clone(), rows, is_turned };
        let one =
            |name: &str, dims: Dims| Tensor { name: name.to_owned(), dims, pieces: vec![piece(None, false)], source };
        match weights.role() {
            Role::ClipVision => match clip_vision_part(name, is_fused) {
                Part::Whole => tensors.push(one(name, clip_vision_dims(name, stored.dims, is_fused))),
                Part::Turned(name) if stored.dims.len() == 2 => {
                    let dims = Dims::from([stored.dims[1], stored.dims[0]]);
                    tensors.push(Tensor { name, dims, pieces: vec![piece(None, true)], source });
                }
                Part::Turned(name) => tensors.push(one(&name, stored.dims)),
                Part::Third => {
                    let rows = stored.dims[0] / 3;
                    for (index, part) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
                        let mut sizes = stored.dims.to_vec();
                        sizes[0] = rows;
                        let dims = Dims::try_new(&sizes).unwrap_or(stored.dims);
                        let pieces = vec![piece(Some(index * rows..(index + 1) * rows), false)];
                        tensors.push(Tensor { name: name.replace("qkv_proj", part), dims, pieces, source });
                    }
                }
                Part::FirstOfThree => tensors.push(joined(weights, name, source).ok_or_else(|| {
                    weights.error(ErrorKind::NotConvertible {
                        reason: format!("`{name}`, its key and its value are not of one type"),
                        advice: "choose the dialect of ComfyUI".into(),
                    })
                })?),
                Part::Later => {}
            },
            _ => tensors.push(one(name, stored.dims)),
        }
    }
    Ok(tensors)
}

/// What becomes of a tensor of the vision encoder.
enum Part {
    Whole,
    /// Under this name, rows and columns in each other's place.
    Turned(String),
    /// Query, key and value in one, to be taken apart.
    Third,
    /// The query, which key and value are put behind.
    FirstOfThree,
    /// Key or value.
    Later,
}

fn clip_vision_part(name: &str, is_fused: bool) -> Part {
    let layer = split_leaf(name).0;
    match name {
        "visual.head" | "visual.proj" if !is_fused => Part::Turned("visual_projection.weight".to_owned()),
        "visual_projection.weight" if is_fused => Part::Turned("visual.head".to_owned()),
        _ if layer.ends_with("qkv_proj") && !is_fused => Part::Third,
        _ if layer.ends_with(".q_proj") && is_fused => Part::FirstOfThree,
        _ if (layer.ends_with(".k_proj") || layer.ends_with(".v_proj")) && is_fused => Part::Later,
        _ => Part::Whole,
    }
}

/// Dialects differ by axes of one.
fn clip_vision_dims(name: &str, dims: Dims, is_fused: bool) -> Dims {
    let width = dims.last().copied().unwrap_or(0);
    let count = dims.element_count().checked_div(width).unwrap_or(0);
    match (name, is_fused) {
        ("vision_model.embeddings.class_embedding", true) => Dims::from([1, 1, width]),
        ("vision_model.embeddings.class_embedding", false) => Dims::from([width]),
        ("vision_model.embeddings.position_embedding.weight", true) => Dims::from([1, count, width]),
        ("vision_model.embeddings.position_embedding.weight", false) => Dims::from([count, width]),
        _ => dims,
    }
}

/// Query, key and value as one tensor; `None` where one is missing or of another kind.
fn joined(weights: &Weights, query: &str, source: DType) -> Option<Tensor> {
    let mut pieces = Vec::new();
    let mut sizes: Vec<usize> = Vec::new();
    for part in ["q_proj", "k_proj", "v_proj"] {
        let key = weights.names().key(&query.replace("q_proj", part))?;
        let stored = weights.checkpoint().stored(key).filter(|stored| stored.element_type.dtype() == Some(source))?;
        match sizes.first_mut() {
            None => sizes = stored.dims.to_vec(),
            Some(rows) => *rows += stored.dims[0],
        }
        pieces.push(Piece { key: key.to_owned(), rows: None, is_turned: false });
    }
    let name = query.replace("q_proj", "qkv_proj");
    Some(Tensor { name, dims: Dims::try_new(&sizes)?, pieces, source })
}

fn dit_to_diffusers(name: &str) -> Option<String> {
    // Modulation and the table of positions are tensors without a layer.
    if let Some(whole) = dit::spellings_in_diffusers(name).into_iter().next() {
        return Some(whole);
    }
    let (layer, leaf) = split_leaf(name);
    let layer = dit::spellings_in_diffusers(layer).into_iter().next()?;
    Some(format!("{layer}.{leaf}"))
}

/// Layers of a block by canonical name, and other layers, with their list of blocks.
struct TextEncoderNames {
    list: &'static str,
    in_block: &'static [(&'static str, &'static str)],
    alone: &'static [(&'static str, &'static str)],
}

const OFFICIAL: &TextEncoderNames = &TextEncoderNames {
    list: "blocks",
    in_block: &[
        ("layer.0.layer_norm", "norm1"),
        ("layer.0.SelfAttention.q", "attn.q"),
        ("layer.0.SelfAttention.k", "attn.k"),
        ("layer.0.SelfAttention.v", "attn.v"),
        ("layer.0.SelfAttention.o", "attn.o"),
        ("layer.0.SelfAttention.relative_attention_bias", "pos_embedding.embedding"),
        ("layer.1.layer_norm", "norm2"),
        ("layer.1.DenseReluDense.wi_0", "ffn.gate.0"),
        ("layer.1.DenseReluDense.wi_1", "ffn.fc1"),
        ("layer.1.DenseReluDense.wo", "ffn.fc2"),
    ],
    alone: &[("shared", "token_embedding"), ("encoder.final_layer_norm", "norm")],
};

const GGUF: &TextEncoderNames = &TextEncoderNames {
    list: "enc.blk",
    in_block: &[
        ("layer.0.layer_norm", "attn_norm"),
        ("layer.0.SelfAttention.q", "attn_q"),
        ("layer.0.SelfAttention.k", "attn_k"),
        ("layer.0.SelfAttention.v", "attn_v"),
        ("layer.0.SelfAttention.o", "attn_o"),
        ("layer.0.SelfAttention.relative_attention_bias", "attn_rel_b"),
        ("layer.1.layer_norm", "ffn_norm"),
        ("layer.1.DenseReluDense.wi_0", "ffn_gate"),
        ("layer.1.DenseReluDense.wi_1", "ffn_up"),
        ("layer.1.DenseReluDense.wo", "ffn_down"),
    ],
    alone: &[("shared", "token_embd"), ("encoder.final_layer_norm", "enc.output_norm")],
};

fn text_encoder_by(name: &str, names: &TextEncoderNames) -> Option<String> {
    let of = |table: &[(&str, &'static str)], layer: &str| {
        table.iter().find(|(canonical, _)| *canonical == layer).map(|(_, other)| *other)
    };
    if let Some((index, rest)) = split_index(name, "encoder.block.") {
        let (layer, leaf) = split_leaf(rest);
        return Some(format!("{}.{index}.{}.{leaf}", names.list, of(names.in_block, layer)?));
    }
    let (layer, leaf) = split_leaf(name);
    Some(format!("{}.{leaf}", of(names.alone, layer)?))
}

fn vae_to_diffusers(name: &str) -> Option<String> {
    let (layer, leaf) = split_leaf(name);
    match layer {
        "conv1" => return Some(format!("quant_conv.{leaf}")),
        "conv2" => return Some(format!("post_quant_conv.{leaf}")),
        _ => {}
    }
    let (half, rest) = name.split_once('.').filter(|(half, _)| matches!(*half, "encoder" | "decoder"))?;
    if let Some((index, part)) = split_index(rest, "middle.") {
        return Some(match index {
            "1" => format!("{half}.mid_block.attentions.0.{part}"),
            _ => {
                let index = index.parse::<usize>().ok()? / 2;
                format!("{half}.mid_block.resnets.{index}.{}", residual_to_diffusers(part))
            }
        });
    }
    let layer = match split_leaf(rest).0 {
        "conv1" => "conv_in",
        "head.0" => "norm_out",
        "head.2" => "conv_out",
        _ => return vae_stage_to_diffusers(half, rest),
    };
    Some(format!("{half}.{layer}.{leaf}"))
}

fn vae_stage_to_diffusers(half: &str, rest: &str) -> Option<String> {
    let is_encoder = half == "encoder";
    let (list, blocks) = if is_encoder { ("downsamples.", "down_blocks") } else { ("upsamples.", "up_blocks") };
    let residual_count = if is_encoder { 2 } else { 3 };
    let (index, part) = split_index(rest, list)?;
    // 2.2 has a list in each stage, 2.1 one list for all.
    if let Some((step, part)) = split_index(part, list) {
        let stage = format!("{half}.{blocks}.{index}");
        return Some(match step.parse::<usize>().ok()? < residual_count {
            true => format!("{stage}.resnets.{step}.{}", residual_to_diffusers(part)),
            false if is_encoder => format!("{stage}.downsampler.{part}"),
            false => format!("{stage}.upsampler.{part}"),
        });
    }
    if is_encoder {
        return Some(format!("{half}.{blocks}.{index}.{}", residual_to_diffusers(part)));
    }
    let index: usize = index.parse().ok()?;
    let (stage, step) = (index / 4, index % 4);
    Some(match step < residual_count {
        true => format!("{half}.{blocks}.{stage}.resnets.{step}.{}", residual_to_diffusers(part)),
        false => format!("{half}.{blocks}.{stage}.upsamplers.0.{part}"),
    })
}

fn residual_to_diffusers(part: &str) -> String {
    let (layer, leaf) = split_leaf(part);
    let layer = match layer {
        "residual.0" => "norm1",
        "residual.2" => "conv1",
        "residual.3" => "norm2",
        "residual.6" => "conv2",
        "shortcut" => "conv_shortcut",
        _ => return part.to_owned(),
    };
    format!("{layer}.{leaf}")
}

fn clip_vision_to_official(name: &str) -> Option<String> {
    let (layer, leaf) = split_leaf(name);
    match name {
        "vision_model.embeddings.class_embedding" => return Some("visual.cls_embedding".to_owned()),
        "vision_model.embeddings.position_embedding.weight" => return Some("visual.pos_embedding".to_owned()),
        "vision_model.embeddings.patch_embedding.weight" => return Some("visual.patch_embedding.weight".to_owned()),
        _ => {}
    }
    if let Some((index, rest)) = split_index(name, "vision_model.encoder.layers.") {
        let layer = match split_leaf(rest).0 {
            "layer_norm1" => "norm1",
            "self_attn.qkv_proj" => "attn.to_qkv",
            "self_attn.out_proj" => "attn.proj",
            "layer_norm2" => "norm2",
            "mlp.fc1" => "mlp.0",
            "mlp.fc2" => "mlp.2",
            _ => return None,
        };
        return Some(format!("visual.transformer.{index}.{layer}.{leaf}"));
    }
    match layer {
        "vision_model.pre_layrnorm" => Some(format!("visual.pre_norm.{leaf}")),
        "vision_model.post_layernorm" => Some(format!("visual.post_norm.{leaf}")),
        _ => None,
    }
}
