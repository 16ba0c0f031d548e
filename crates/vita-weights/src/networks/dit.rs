//! The Wan transformer: original and diffusers names, sizes, systems.

use serde::Serialize;

use super::{Builder, Layout};
use crate::naming::{Dialects, Naming, split_index, split_leaf};
use crate::{Result, Weights};

/// Width of a CLIP ViT-H token, which the image branch of every published model takes.
const CLIP_WIDTH: usize = 1280;

/// Width of an attention head in every Wan.
const HEAD_WIDTH: usize = 128;

pub static DIALECTS: Dialects = Dialects {
    namings: &[
        Naming { text: "diffusers", is_mark: |key| key.contains("condition_embedder."), rename: from_diffusers },
        Naming { text: "original", is_mark: |_| true, rename: str::to_owned },
    ],
    prefixes: &["", "model.diffusion_model.", "diffusion_model.", "model.model.", "model.", "net.", "transformer."],
    is_anchor: |name| match split_index(name, "blocks.") {
        Some((_, rest)) => rest == "self_attn.norm_q.weight",
        None => matches!(name, "head.modulation" | "patch_embedding.weight" | "time_projection.1.weight"),
    },
};

/// Sizes of a Wan transformer, found from its tensors' shapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DitFacts {
    /// Width of a token.
    pub dim: usize,
    /// Inner width of the MLP.
    pub ffn_dim: usize,
    /// Attention heads of 128.
    pub head_count: usize,
    /// Blocks.
    pub layer_count: usize,
    /// Channels of the input: latent, or latent + 4 mask + latent of the given image.
    pub in_channels: usize,
    /// Channels of the predicted latent.
    pub out_channels: usize,
    /// Width of the text encoder's output.
    pub text_dim: usize,
    /// Width of the timestep's sine table.
    pub freq_dim: usize,
    /// Cross-attention to CLIP tokens (2.1 I2V).
    pub image_branch: bool,
    /// Width of the vision encoder's tokens, where there is an image branch.
    pub image_dim: Option<usize>,
    /// Position table for two CLIP images (2.1 FLF2V).
    pub first_last_frame: bool,
    /// Parts that other systems add.
    pub variant: DitVariant,
}

/// Parts that a Wan transformer may have besides the common ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DitVariant {
    /// None: text and image to video.
    Plain,
    /// VACE editing blocks.
    Vace,
    /// Camera control.
    Camera,
    /// Speech to video.
    S2v,
    /// HuMo.
    Humo,
    /// Animate.
    Animate,
    /// Fun-Control: a control video in additional input channels, or a reference frame.
    FunControl,
}

/// The tensor that gives each variant away, in the order in which they are looked for.
const VARIANT_MARKS: [(&str, DitVariant); 6] = [
    ("vace_patch_embedding.weight", DitVariant::Vace),
    ("control_adapter.conv.weight", DitVariant::Camera),
    ("casual_audio_encoder.encoder.final_linear.weight", DitVariant::S2v),
    ("audio_proj.audio_proj_glob_1.layer.bias", DitVariant::Humo),
    ("face_adapter.fuser_blocks.0.k_norm.weight", DitVariant::Animate),
    ("ref_conv.weight", DitVariant::FunControl),
];

impl DitFacts {
    /// "Wan2.1 T2V 14B"; sizes that no system has are spelled out.
    pub fn system(&self) -> String {
        let size = match (self.dim, self.layer_count) {
            (1536, 30) => "1.3B",
            (3072, 30) => "5B",
            (5120, 40) => "14B",
            _ => {
                let Self { dim, layer_count, in_channels, out_channels, .. } = self;
                return format!(
                    "Wan-shaped diffusion model, dim {dim}, {layer_count} layers, {in_channels} to {out_channels} channels"
                );
            }
        };
        let name = match self.variant {
            DitVariant::Vace => "Wan2.1 VACE",
            DitVariant::Camera if self.image_branch => "Wan2.1 Fun-Camera",
            DitVariant::Camera => "Wan2.2 Fun-Camera",
            DitVariant::S2v => "Wan2.2 S2V",
            DitVariant::Humo => "Wan2.1 HuMo",
            DitVariant::Animate => "Wan2.2 Animate",
            DitVariant::FunControl if self.image_branch => "Wan2.1 Fun-Control",
            DitVariant::FunControl => "Wan2.2 Fun-Control",
            DitVariant::Plain => match (self.in_channels, self.out_channels, self.image_branch) {
                (16, 16, false) => "Wan2.1 T2V",
                (36, 16, true) if self.first_last_frame => "Wan2.1 FLF2V",
                (36, 16, true) if self.dim == 1536 => "Wan2.1 Fun-InP",
                (36, 16, true) => "Wan2.1 I2V",
                (36, 16, false) if self.dim == 5120 => return "Wan2.2 I2V A14B expert".to_owned(),
                (48, 48, false) => "Wan2.2 TI2V",
                (input, output, _) => return format!("Wan {size} variant, {input} to {output} channels"),
            },
        };
        format!("{name} {size}")
    }

    /// Another system with the same tensors, which only the user can tell apart.
    pub fn also(&self) -> Option<&'static str> {
        let plain = self.variant == DitVariant::Plain && self.dim == 5120;
        (plain && self.in_channels == 16).then_some("a Wan2.2 T2V A14B expert has the same shapes")
    }

    /// Why the system cannot be run, if it cannot.
    pub fn unsupported(&self) -> Option<String> {
        if self.dim == 0 || !self.dim.is_multiple_of(HEAD_WIDTH) {
            return Some(format!("its width {} is not a multiple of {HEAD_WIDTH}", self.dim));
        }
        let needs = match self.variant {
            DitVariant::Plain => return None,
            DitVariant::Vace => "VACE blocks",
            DitVariant::Camera => "a camera adapter",
            DitVariant::S2v | DitVariant::Humo => "an audio encoder",
            DitVariant::Animate => "a face adapter",
            DitVariant::FunControl => "a control video",
        };
        Some(format!("it needs {needs}, which is not implemented"))
    }

    /// Canonical names and shapes of all its tensors, the common parts of variants.
    pub fn layout(&self) -> Layout {
        let Self { dim, ffn_dim, in_channels, out_channels, text_dim, freq_dim, .. } = *self;
        let mut build = Builder::default();
        build.layer("patch_embedding", [dim, in_channels, 1, 2, 2]);
        build.layer("text_embedding.0", [dim, text_dim]);
        build.layer("text_embedding.2", [dim, dim]);
        build.layer("time_embedding.0", [dim, freq_dim]);
        build.layer("time_embedding.2", [dim, dim]);
        build.layer("time_projection.1", [6 * dim, dim]);
        for block in 0..self.layer_count {
            let block = format!("blocks.{block}");
            build.tensor(format!("{block}.modulation"), [1, 6, dim]);
            build.layer(&format!("{block}.norm3"), [dim]);
            for attention in ["self_attn", "cross_attn"] {
                for layer in ["q", "k", "v", "o"] {
                    build.layer(&format!("{block}.{attention}.{layer}"), [dim, dim]);
                }
                for norm in ["norm_q", "norm_k"] {
                    build.tensor(format!("{block}.{attention}.{norm}.weight"), [dim]);
                }
            }
            if self.image_branch {
                build.layer(&format!("{block}.cross_attn.k_img"), [dim, dim]);
                build.layer(&format!("{block}.cross_attn.v_img"), [dim, dim]);
                build.tensor(format!("{block}.cross_attn.norm_k_img.weight"), [dim]);
            }
            build.layer(&format!("{block}.ffn.0"), [ffn_dim, dim]);
            build.layer(&format!("{block}.ffn.2"), [dim, ffn_dim]);
        }
        build.layer("head.head", [4 * out_channels, dim]);
        build.tensor("head.modulation", [1, 2, dim]);
        let image_dim = self.image_dim.unwrap_or(CLIP_WIDTH);
        if self.image_branch {
            build.layer("img_emb.proj.0", [image_dim]);
            build.layer("img_emb.proj.1", [image_dim, image_dim]);
            build.layer("img_emb.proj.3", [dim, image_dim]);
            build.layer("img_emb.proj.4", [dim]);
        }
        if self.first_last_frame {
            // Two images of 257 tokens.
            build.tensor("img_emb.emb_pos", [1, 514, image_dim]);
        }
        build.0
    }
}

/// Finds the sizes.
pub fn facts(weights: &Weights) -> Result<DitFacts> {
    let [dim, in_channels, ..] = weights.sizes::<5>("patch_embedding.weight")?;
    let [ffn_dim, _] = weights.sizes("blocks.0.ffn.0.weight")?;
    let [head_rows, _] = weights.sizes("head.head.weight")?;
    let [_, text_dim] = weights.sizes("text_embedding.0.weight")?;
    let [_, freq_dim] = weights.sizes("time_embedding.0.weight")?;
    let out_channels = head_rows / 4;
    let marked = VARIANT_MARKS.iter().find(|(mark, _)| weights.contains(mark)).map(|&(_, variant)| variant);
    let controlled = (in_channels, out_channels) == (48, 16);
    let image_branch = weights.contains("img_emb.proj.0.bias");
    let image_dim = image_branch.then(|| weights.sizes::<1>("img_emb.proj.0.bias")).transpose()?;
    Ok(DitFacts {
        dim,
        ffn_dim,
        head_count: dim / HEAD_WIDTH,
        layer_count: weights.count("blocks"),
        in_channels,
        out_channels,
        text_dim,
        freq_dim,
        image_branch,
        image_dim: image_dim.map(|[width]| width),
        first_last_frame: weights.contains("img_emb.emb_pos"),
        variant: marked.unwrap_or(if controlled { DitVariant::FunControl } else { DitVariant::Plain }),
    })
}

/// What diffusers calls a layer, or a tensor without layer, of a canonical name; nothing where it has no other name.
pub fn spellings_in_diffusers(layer: &str) -> Vec<String> {
    const OF_BLOCKS: [&str; 19] = [
        "attn1.to_q",
        "attn1.to_k",
        "attn1.to_v",
        "attn1.to_out.0",
        "attn1.norm_q",
        "attn1.norm_k",
        "attn2.to_q",
        "attn2.to_k",
        "attn2.to_v",
        "attn2.to_out.0",
        "attn2.norm_q",
        "attn2.norm_k",
        "attn2.add_k_proj",
        "attn2.add_v_proj",
        "attn2.norm_added_k",
        "norm2",
        "ffn.net.0.proj",
        "ffn.net.2",
        "scale_shift_table",
    ];
    const OF_ALL: [&str; 12] = [
        "scale_shift_table",
        "condition_embedder.image_embedder.pos_embed",
        "condition_embedder.time_embedder.linear_1",
        "condition_embedder.time_embedder.linear_2",
        "condition_embedder.text_embedder.linear_1",
        "condition_embedder.text_embedder.linear_2",
        "condition_embedder.time_proj",
        "condition_embedder.image_embedder.norm1",
        "condition_embedder.image_embedder.ff.net.0.proj",
        "condition_embedder.image_embedder.ff.net.2",
        "condition_embedder.image_embedder.norm2",
        "proj_out",
    ];
    let canonical = |name: &str| match name.ends_with("scale_shift_table") || name.ends_with("pos_embed") {
        true => from_diffusers(name),
        false => split_leaf(&from_diffusers(&format!("{name}.weight"))).0.to_owned(),
    };
    let of_block =
        split_index(layer, "blocks.").map(|(index, _)| OF_BLOCKS.map(|name| format!("blocks.{index}.{name}")));
    let all = of_block.map_or_else(|| OF_ALL.map(str::to_owned).to_vec(), |names| names.to_vec());
    all.into_iter().filter(|name| canonical(name) == layer).collect()
}

/// Diffusers gives layers other names, and swaps those of the norms: its `norm2` is Wan's `norm3`.
fn from_diffusers(name: &str) -> String {
    match name {
        "scale_shift_table" => return "head.modulation".to_owned(),
        "condition_embedder.image_embedder.pos_embed" => return "img_emb.emb_pos".to_owned(),
        _ => {}
    }
    let (layer, leaf) = split_leaf(name);
    if let Some((index, rest)) = split_index(name, "blocks.") {
        if rest == "scale_shift_table" {
            return format!("blocks.{index}.modulation");
        }
        let (layer, leaf) = split_leaf(rest);
        return format!("blocks.{index}.{}.{leaf}", block_layer_from_diffusers(layer));
    }
    let layer = match layer {
        "condition_embedder.time_embedder.linear_1" => "time_embedding.0",
        "condition_embedder.time_embedder.linear_2" => "time_embedding.2",
        "condition_embedder.text_embedder.linear_1" => "text_embedding.0",
        "condition_embedder.text_embedder.linear_2" => "text_embedding.2",
        "condition_embedder.time_proj" => "time_projection.1",
        "condition_embedder.image_embedder.norm1" => "img_emb.proj.0",
        "condition_embedder.image_embedder.ff.net.0.proj" => "img_emb.proj.1",
        "condition_embedder.image_embedder.ff.net.2" => "img_emb.proj.3",
        "condition_embedder.image_embedder.norm2" => "img_emb.proj.4",
        "proj_out" => "head.head",
        _ => return name.to_owned(),
    };
    format!("{layer}.{leaf}")
}

fn block_layer_from_diffusers(layer: &str) -> String {
    let (attention, part) = match layer.split_once('.') {
        Some(("attn1", part)) => ("self_attn", part),
        Some(("attn2", part)) => ("cross_attn", part),
        _ => {
            return match layer {
                "norm2" => "norm3",
                "ffn.net.0.proj" => "ffn.0",
                "ffn.net.2" => "ffn.2",
                other => other,
            }
            .to_owned();
        }
    };
    let part = match part {
        "to_q" => "q",
        "to_k" => "k",
        "to_v" => "v",
        "to_out.0" => "o",
        "add_k_proj" => "k_img",
        "add_v_proj" => "v_img",
        "norm_added_k" => "norm_k_img",
        other => other,
    };
    format!("{attention}.{part}")
}
