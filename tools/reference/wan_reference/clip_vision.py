"""The CLIP vision encoder (ViT-H/14's structure): transformers' module, its preprocessing, and two more name dialects.

A config is a dict: dim, heads (of 80), ffn_dim, layers, patch, size (pixels a side of the picture).
"""

import re

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from .weights import Tensors, random_weights

MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]

# Name in Hugging Face's files -> name in Wan's own, and in OpenCLIP's. Query, key and value are joined first.
RENAMES = {
    "official": [
        (r"^vision_model\.embeddings\.class_embedding$", "visual.cls_embedding"),
        (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.pos_embedding"),
        (r"^vision_model\.embeddings\.patch_embedding\.", "visual.patch_embedding."),
        (r"^vision_model\.pre_layrnorm\.", "visual.pre_norm."),
        (r"^vision_model\.post_layernorm\.", "visual.post_norm."),
        (r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.qkv\.", r"visual.transformer.\1.attn.to_qkv."),
        (r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.out_proj\.", r"visual.transformer.\1.attn.proj."),
        (r"^vision_model\.encoder\.layers\.(\d+)\.layer_norm(\d)\.", r"visual.transformer.\1.norm\2."),
        (r"^vision_model\.encoder\.layers\.(\d+)\.mlp\.fc1\.", r"visual.transformer.\1.mlp.0."),
        (r"^vision_model\.encoder\.layers\.(\d+)\.mlp\.fc2\.", r"visual.transformer.\1.mlp.2."),
    ],
    "open_clip": [
        (r"^vision_model\.embeddings\.class_embedding$", "visual.class_embedding"),
        (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
        (r"^vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
        (r"^vision_model\.pre_layrnorm\.", "visual.ln_pre."),
        (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
        (r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.qkv\.", r"visual.transformer.resblocks.\1.attn.in_proj_"),
        (r"^vision_model\.encoder\.layers\.(\d+)\.self_attn\.", r"visual.transformer.resblocks.\1.attn."),
        (r"^vision_model\.encoder\.layers\.(\d+)\.layer_norm(\d)\.", r"visual.transformer.resblocks.\1.ln_\2."),
        (r"^vision_model\.encoder\.layers\.(\d+)\.mlp\.fc1\.", r"visual.transformer.resblocks.\1.mlp.c_fc."),
        (r"^vision_model\.encoder\.layers\.(\d+)\.mlp\.fc2\.", r"visual.transformer.resblocks.\1.mlp.c_proj."),
    ],
}


def build(config: dict) -> CLIPVisionModel:
    """The f32 module, its weights not yet set."""
    return CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=config["dim"],
            intermediate_size=config["ffn_dim"],
            num_hidden_layers=config["layers"],
            num_attention_heads=config["heads"],
            patch_size=config["patch"],
            image_size=config["size"],
            hidden_act="gelu",  # as in the published ViT-H/14; other CLIPs have `quick_gelu`
            layer_norm_eps=1e-5,
        )
    ).eval()


def file_key(key: str) -> str:
    """The name in files: version 5 of transformers leaves its first part out."""
    return key if key.startswith("vision_model.") else f"vision_model.{key}"


def draw_weights(config: dict, seed: int) -> Tensors:
    """Random weights under Hugging Face's names."""
    with torch.device("meta"):
        shapes = {file_key(key): value.shape for key, value in build(config).named_parameters()}
    return random_weights(shapes, seed)


def renamed(naming: str, weights: Tensors) -> Tensors:
    """The same weights under `official` or `open_clip` names."""
    out = {}
    for key, value in join_projections(weights).items():
        name = key
        for pattern, replacement in RENAMES[naming]:
            if re.search(pattern, key):
                name = re.sub(pattern, replacement, key)
                break
        if naming == "official" and name.endswith("_embedding"):
            value = value.reshape(1, -1, value.shape[-1])
        out[name] = value
    return out


def join_projections(weights: Tensors) -> Tensors:
    """Query, key and value as one layer."""
    out = {key: value for key, value in weights.items() if not re.search(r"\.[qkv]_proj\.", key)}
    for key in weights:
        if ".q_proj." in key:
            parts = [weights[key.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            out[key.replace(".q_proj.", ".qkv.")] = torch.cat(parts)
    return out


def load(config: dict, weights: Tensors) -> CLIPVisionModel:
    """The module with these weights (Hugging Face's names, any float dtype), widened to f32."""
    model = build(config)
    state = {key: weights[file_key(key)].float() for key, _ in model.named_parameters()}
    model.load_state_dict(state, assign=True, strict=False)
    return model


@torch.no_grad()
def forward(model: CLIPVisionModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """pixel_values: [B, 3, size, size]. Returns the output of the last block but one, [B, 1 + patches, dim]."""
    return model(pixel_values=pixel_values, output_hidden_states=True).hidden_states[-2]


def preprocess(image: torch.Tensor, size: int, crop: str) -> torch.Tensor:
    """image: [B, H, W, 3] in 0..1; crop: center or none. Returns [B, 3, size, size], as ComfyUI prepares it."""
    x = image.movedim(-1, 1)
    height, width = x.shape[2:]
    if (height, width) != (size, size):
        scale = size / min(height, width)
        target = (round(scale * height), round(scale * width)) if crop == "center" else (size, size)
        x = torch.nn.functional.interpolate(x, size=target, mode="bicubic", antialias=True)
        top, left = (target[0] - size) // 2, (target[1] - size) // 2
        x = x[:, :, top : top + size, left : left + size]
    x = (255.0 * x).clamp(0, 255).round() / 255.0
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
