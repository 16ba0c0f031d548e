//! The CLIP vision encoder, ViT-H/14: Hugging Face's, official and OpenCLIP's names, sizes.

use serde::Serialize;
use vita_tensor::Dims;

use super::{Builder, Layout};
use crate::naming::{Dialects, Naming, split_index, split_leaf};
use crate::{Result, Weights};

/// Width of an attention head of ViT-H (1280 / 16). No shape tells it, and only ViT-H belongs to Wan.
const HEAD_WIDTH: usize = 80;

const EMBEDDINGS: &str = "vision_model.embeddings";

pub static DIALECTS: Dialects = Dialects {
    namings: &[
        Naming {
            text: "OpenCLIP",
            is_mark: |key| key.contains("visual.transformer.resblocks."),
            rename: from_open_clip,
        },
        Naming { text: "official", is_mark: |key| key.contains("visual.patch_embedding."), rename: from_official },
        Naming { text: "Hugging Face", is_mark: |_| true, rename: from_hugging_face },
    ],
    prefixes: &["", "model.", "clip.", "clip_vision.", "image_encoder.", "conditioner.embedders.0.open_clip.model."],
    is_anchor: |name| {
        matches!(name, "vision_model.embeddings.patch_embedding.weight" | "vision_model.pre_layrnorm.weight")
    },
};

/// Sizes of a CLIP vision encoder, found from its tensors' shapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClipVisionFacts {
    /// Width of a token.
    pub dim: usize,
    /// Inner width of the MLP.
    pub ffn_dim: usize,
    /// Attention heads of 80.
    pub head_count: usize,
    /// Blocks.
    pub layer_count: usize,
    /// Pixels a side of a patch.
    pub patch_size: usize,
    /// Pixels a side of the picture.
    pub image_size: usize,
    /// Rows of the table of positions: one for each patch, and one for the class token.
    pub position_count: usize,
    /// Whether query, key and value share one weight.
    pub fused_qkv: bool,
    /// Channels of the picture.
    #[serde(skip)]
    pub image_channels: usize,
    /// How the class token and the table of positions are stored: dialects differ by axes of one.
    #[serde(skip)]
    pub embedding_dims: [Dims; 2],
    /// The final norm and the projection, which Wan does not use, as far as they are there.
    #[serde(skip)]
    pub unused: Layout,
}

impl ClipVisionFacts {
    /// "CLIP ViT-H/14 vision encoder"; sizes that are not its own are spelled out.
    pub fn system(&self) -> String {
        match (self.dim, self.layer_count, self.patch_size) {
            (1280, 32, 14) => "CLIP ViT-H/14 vision encoder".to_owned(),
            (dim, layer_count, _) => format!("CLIP-shaped vision encoder, dim {dim}, {layer_count} layers"),
        }
    }

    /// Why it cannot be run, if it cannot.
    pub fn unsupported(&self) -> Option<String> {
        let side = self.image_size.checked_div(self.patch_size).unwrap_or(0);
        if self.dim == 0 || !self.dim.is_multiple_of(HEAD_WIDTH) {
            let dim = self.dim;
            return Some(format!(
                "Wan needs CLIP ViT-H, whose width is a multiple of its heads' {HEAD_WIDTH}; this one's is {dim}"
            ));
        }
        if self.layer_count < 2 {
            return Some("the output of the last block but one is needed, and it has no such".to_owned());
        }
        if side == 0 || side * side + 1 != self.position_count || self.image_channels != 3 {
            let Self { position_count, image_channels, .. } = self;
            return Some(format!(
                "its {position_count} positions for patches of {image_channels} channels are not those of a square RGB picture"
            ));
        }
        None
    }

    /// Canonical names and shapes of all its tensors.
    pub fn layout(&self) -> Layout {
        let Self { dim, ffn_dim, patch_size, .. } = *self;
        let [class, positions] = self.embedding_dims;
        let mut build = Builder::default();
        build.0.push((format!("{EMBEDDINGS}.class_embedding"), class));
        build.0.push((format!("{EMBEDDINGS}.position_embedding.weight"), positions));
        let patch = [dim, self.image_channels, patch_size, patch_size];
        build.tensor(format!("{EMBEDDINGS}.patch_embedding.weight"), patch);
        norm(&mut build, "vision_model.pre_layrnorm", dim);
        for index in 0..self.layer_count {
            let block = format!("vision_model.encoder.layers.{index}");
            norm(&mut build, &format!("{block}.layer_norm1"), dim);
            match self.fused_qkv {
                true => build.layer(&format!("{block}.self_attn.qkv_proj"), [3 * dim, dim]),
                false => {
                    for part in ["q_proj", "k_proj", "v_proj"] {
                        build.layer(&format!("{block}.self_attn.{part}"), [dim, dim]);
                    }
                }
            }
            build.layer(&format!("{block}.self_attn.out_proj"), [dim, dim]);
            norm(&mut build, &format!("{block}.layer_norm2"), dim);
            build.layer(&format!("{block}.mlp.fc1"), [ffn_dim, dim]);
            build.layer(&format!("{block}.mlp.fc2"), [dim, ffn_dim]);
        }
        build.0.extend(self.unused.iter().cloned());
        build.0
    }
}

/// Finds the sizes.
pub fn facts(weights: &Weights) -> Result<ClipVisionFacts> {
    let class = format!("{EMBEDDINGS}.class_embedding");
    let positions = format!("{EMBEDDINGS}.position_embedding.weight");
    let [dim, image_channels, patch_size, _] = weights.sizes(&format!("{EMBEDDINGS}.patch_embedding.weight"))?;
    let [ffn_dim, _] = weights.sizes("vision_model.encoder.layers.0.mlp.fc1.weight")?;
    let embedding_dims = [
        weights.dims(&class).map_or_else(|| weights.sizes(&class).map(|dims: [usize; 1]| Dims::from(dims)), Ok)?,
        weights
            .dims(&positions)
            .map_or_else(|| weights.sizes(&positions).map(|dims: [usize; 2]| Dims::from(dims)), Ok)?,
    ];
    let position_count = embedding_dims[1].element_count().checked_div(dim).unwrap_or(0);
    let unused = ["post_layernorm.weight", "post_layernorm.bias"].map(|name| format!("vision_model.{name}"));
    let unused = unused.into_iter().chain(["visual_projection.weight".to_owned()]);
    Ok(ClipVisionFacts {
        dim,
        ffn_dim,
        head_count: dim / HEAD_WIDTH,
        layer_count: weights.count("vision_model.encoder.layers"),
        patch_size,
        image_size: position_count.saturating_sub(1).isqrt().saturating_mul(patch_size),
        position_count,
        fused_qkv: weights.contains("vision_model.encoder.layers.0.self_attn.qkv_proj.weight"),
        image_channels,
        embedding_dims,
        unused: unused.filter_map(|name| weights.dims(&name).map(|dims| (name, dims))).collect(),
    })
}

fn norm(build: &mut Builder, name: &str, dim: usize) {
    build.layer(name, [dim]);
}

/// Version 5 of transformers leaves the first part out.
fn from_hugging_face(name: &str) -> String {
    let parts = ["embeddings.", "pre_layrnorm.", "encoder.layers.", "post_layernorm."];
    match parts.iter().any(|part| name.starts_with(part)) {
        true => format!("vision_model.{name}"),
        false => name.to_owned(),
    }
}

/// Wan's own: query, key and value are one layer.
fn from_official(name: &str) -> String {
    from_fused(name, "visual.transformer.", |layer| {
        Some(match layer {
            "norm1" => "layer_norm1",
            "attn.to_qkv" => "self_attn.qkv_proj",
            "attn.proj" => "self_attn.out_proj",
            "norm2" => "layer_norm2",
            "mlp.0" => "mlp.fc1",
            "mlp.2" => "mlp.fc2",
            _ => return None,
        })
    })
}

/// The same network in its authors' program.
fn from_open_clip(name: &str) -> String {
    // These two are no layers: an underscore stands where others have a dot.
    let name = name.replace(".attn.in_proj_", ".attn.in_proj.");
    from_fused(&name, "visual.transformer.resblocks.", |layer| {
        Some(match layer {
            "ln_1" => "layer_norm1",
            "attn.in_proj" => "self_attn.qkv_proj",
            "attn.out_proj" => "self_attn.out_proj",
            "ln_2" => "layer_norm2",
            "mlp.c_fc" => "mlp.fc1",
            "mlp.c_proj" => "mlp.fc2",
            _ => return None,
        })
    })
}

fn from_fused(name: &str, list: &str, layer_of: impl Fn(&str) -> Option<&'static str>) -> String {
    let whole = match name {
        "visual.cls_embedding" | "visual.class_embedding" => "embeddings.class_embedding",
        "visual.pos_embedding" | "visual.positional_embedding" => "embeddings.position_embedding.weight",
        "visual.patch_embedding.weight" | "visual.conv1.weight" => "embeddings.patch_embedding.weight",
        _ => "",
    };
    if !whole.is_empty() {
        return format!("vision_model.{whole}");
    }
    if let Some((index, rest)) = split_index(name, list) {
        let (layer, leaf) = split_leaf(rest);
        return match layer_of(layer) {
            Some(layer) => format!("vision_model.encoder.layers.{index}.{layer}.{leaf}"),
            None => name.to_owned(),
        };
    }
    let (layer, leaf) = split_leaf(name);
    match layer {
        "visual.pre_norm" | "visual.ln_pre" => format!("vision_model.pre_layrnorm.{leaf}"),
        "visual.post_norm" | "visual.ln_post" => format!("vision_model.post_layernorm.{leaf}"),
        _ => name.to_owned(),
    }
}
