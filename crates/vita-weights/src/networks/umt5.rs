//! UMT5: Hugging Face's and the official names, sizes.

use serde::Serialize;

use super::{Builder, Layout};
use crate::naming::{Dialects, Naming, split_index, split_leaf};
use crate::{Result, Weights};

pub static DIALECTS: Dialects = Dialects {
    namings: &[
        Naming { text: "Hugging Face", is_mark: |key| key.contains(".SelfAttention."), rename: from_hugging_face },
        Naming { text: "GGUF", is_mark: |key| key.contains("enc.blk."), rename: from_gguf },
        Naming { text: "official", is_mark: |_| true, rename: from_official },
    ],
    prefixes: &[
        "",
        "text_encoders.umt5xxl.transformer.",
        "umt5xxl.transformer.",
        "text_encoder.",
        "model.",
        "transformer.",
    ],
    is_anchor: |name| {
        split_index(name, "encoder.block.").is_some_and(|(_, rest)| rest == "layer.0.SelfAttention.q.weight")
    },
};

/// Sizes of a UMT5 encoder, found from its tensors' shapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Umt5Facts {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of a token.
    pub dim: usize,
    /// Inner width of the MLP.
    pub ffn_dim: usize,
    /// Attention heads.
    pub head_count: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Blocks.
    pub layer_count: usize,
    /// Rows of a block's table of relative positions.
    pub bucket_count: usize,
    /// Whether every block has such a table; in T5 only the first one has.
    pub table_in_every_layer: bool,
}

impl Umt5Facts {
    /// "UMT5-XXL text encoder"; sizes that are not XXL's are spelled out.
    pub fn system(&self) -> String {
        let family = if self.table_in_every_layer { "UMT5" } else { "T5" };
        match (self.dim, self.layer_count) {
            (4096, 24) => format!("{family}-XXL text encoder"),
            (dim, layer_count) => format!("{family}-shaped text encoder, dim {dim}, {layer_count} layers"),
        }
    }

    /// Why it cannot be run, if it cannot.
    pub fn unsupported(&self) -> Option<String> {
        (!self.table_in_every_layer)
            .then(|| "Wan needs UMT5, which has a table of relative positions in every layer".to_owned())
    }

    /// Canonical names and shapes of all its tensors.
    pub fn layout(&self) -> Layout {
        let Self { dim, ffn_dim, .. } = *self;
        let inner = self.head_count * self.head_dim;
        let mut build = Builder::default();
        build.tensor("shared.weight", [self.vocab_size, dim]);
        for block in 0..self.layer_count {
            let attention = format!("encoder.block.{block}.layer.0");
            for layer in ["q", "k", "v"] {
                build.tensor(format!("{attention}.SelfAttention.{layer}.weight"), [inner, dim]);
            }
            build.tensor(format!("{attention}.SelfAttention.o.weight"), [dim, inner]);
            if self.table_in_every_layer || block == 0 {
                let table = format!("{attention}.SelfAttention.relative_attention_bias.weight");
                build.tensor(table, [self.bucket_count, self.head_count]);
            }
            build.tensor(format!("{attention}.layer_norm.weight"), [dim]);
            let mlp = format!("encoder.block.{block}.layer.1");
            build.tensor(format!("{mlp}.DenseReluDense.wi_0.weight"), [ffn_dim, dim]);
            build.tensor(format!("{mlp}.DenseReluDense.wi_1.weight"), [ffn_dim, dim]);
            build.tensor(format!("{mlp}.DenseReluDense.wo.weight"), [dim, ffn_dim]);
            build.tensor(format!("{mlp}.layer_norm.weight"), [dim]);
        }
        build.tensor("encoder.final_layer_norm.weight", [dim]);
        build.0
    }
}

/// Finds the sizes.
pub fn facts(weights: &Weights) -> Result<Umt5Facts> {
    let first = "encoder.block.0.layer";
    let [vocab_size, dim] = weights.sizes("shared.weight")?;
    let [inner, _] = weights.sizes(&format!("{first}.0.SelfAttention.q.weight"))?;
    let [bucket_count, head_count] =
        weights.sizes(&format!("{first}.0.SelfAttention.relative_attention_bias.weight"))?;
    let [ffn_dim, _] = weights.sizes(&format!("{first}.1.DenseReluDense.wi_0.weight"))?;
    let layer_count = weights.count("encoder.block");
    let has_table = |block| {
        weights.contains(&format!("encoder.block.{block}.layer.0.SelfAttention.relative_attention_bias.weight"))
    };
    Ok(Umt5Facts {
        vocab_size,
        dim,
        ffn_dim,
        head_count,
        head_dim: inner.checked_div(head_count).unwrap_or(0),
        layer_count,
        bucket_count,
        table_in_every_layer: layer_count == 1 || (1..layer_count).any(has_table),
    })
}

/// Some files keep the embedding under its second name only.
fn from_hugging_face(name: &str) -> String {
    match name.strip_prefix("encoder.embed_tokens.") {
        Some(leaf) => format!("shared.{leaf}"),
        None => name.to_owned(),
    }
}

fn from_official(name: &str) -> String {
    let (layer, leaf) = split_leaf(name);
    if let Some((index, rest)) = split_index(name, "blocks.") {
        let (layer, leaf) = split_leaf(rest);
        let layer = match layer {
            "norm1" => "layer.0.layer_norm",
            "attn.q" => "layer.0.SelfAttention.q",
            "attn.k" => "layer.0.SelfAttention.k",
            "attn.v" => "layer.0.SelfAttention.v",
            "attn.o" => "layer.0.SelfAttention.o",
            "pos_embedding.embedding" => "layer.0.SelfAttention.relative_attention_bias",
            "norm2" => "layer.1.layer_norm",
            "ffn.gate.0" => "layer.1.DenseReluDense.wi_0",
            "ffn.fc1" => "layer.1.DenseReluDense.wi_1",
            "ffn.fc2" => "layer.1.DenseReluDense.wo",
            _ => return name.to_owned(),
        };
        return format!("encoder.block.{index}.{layer}.{leaf}");
    }
    let layer = match layer {
        "token_embedding" => "shared",
        "norm" => "encoder.final_layer_norm",
        _ => return name.to_owned(),
    };
    format!("{layer}.{leaf}")
}

fn from_gguf(name: &str) -> String {
    let (layer, leaf) = split_leaf(name);
    if let Some((index, rest)) = split_index(name, "enc.blk.") {
        let (layer, leaf) = split_leaf(rest);
        let layer = match layer {
            "attn_norm" => "layer.0.layer_norm",
            "attn_q" => "layer.0.SelfAttention.q",
            "attn_k" => "layer.0.SelfAttention.k",
            "attn_v" => "layer.0.SelfAttention.v",
            "attn_o" => "layer.0.SelfAttention.o",
            "attn_rel_b" => "layer.0.SelfAttention.relative_attention_bias",
            "ffn_norm" => "layer.1.layer_norm",
            "ffn_gate" => "layer.1.DenseReluDense.wi_0",
            "ffn_up" => "layer.1.DenseReluDense.wi_1",
            "ffn_down" => "layer.1.DenseReluDense.wo",
            _ => return name.to_owned(),
        };
        return format!("encoder.block.{index}.{layer}.{leaf}");
    }
    let layer = match layer {
        "token_embd" => "shared",
        "enc.output_norm" => "encoder.final_layer_norm",
        _ => return name.to_owned(),
    };
    format!("{layer}.{leaf}")
}
