"""The Wan video transformer: diffusers' module under the original checkpoint's names.

A config is a dict: dim, heads, layers, ffn_dim, text_dim, in_dim, out_dim, and image_dim where
the model has the image branch of Wan 2.1 I2V, and clip_positions (514) where it tells two images apart.
"""

import re

import torch
from diffusers import WanTransformer3DModel

from .weights import Tensors, random_weights

# diffusers' name -> the original one; the first pattern that matches wins.
RENAMES = [
    (r"^condition_embedder\.time_embedder\.linear_1\.", "time_embedding.0."),
    (r"^condition_embedder\.time_embedder\.linear_2\.", "time_embedding.2."),
    (r"^condition_embedder\.text_embedder\.linear_1\.", "text_embedding.0."),
    (r"^condition_embedder\.text_embedder\.linear_2\.", "text_embedding.2."),
    (r"^condition_embedder\.time_proj\.", "time_projection.1."),
    (r"^condition_embedder\.image_embedder\.norm1\.", "img_emb.proj.0."),
    (r"^condition_embedder\.image_embedder\.ff\.net\.0\.proj\.", "img_emb.proj.1."),
    (r"^condition_embedder\.image_embedder\.ff\.net\.2\.", "img_emb.proj.3."),
    (r"^condition_embedder\.image_embedder\.norm2\.", "img_emb.proj.4."),
    (r"^condition_embedder\.image_embedder\.pos_embed$", "img_emb.emb_pos"),
    (r"^scale_shift_table$", "head.modulation"),
    (r"^proj_out\.", "head.head."),
    (r"^(blocks\.\d+)\.scale_shift_table$", r"\1.modulation"),
    (r"^(blocks\.\d+)\.norm2\.", r"\1.norm3."),
    (r"^(blocks\.\d+)\.ffn\.net\.0\.proj\.", r"\1.ffn.0."),
    (r"^(blocks\.\d+)\.ffn\.net\.2\.", r"\1.ffn.2."),
]
ATTENTION_RENAMES = [
    (".attn1.", ".self_attn."),
    (".attn2.", ".cross_attn."),
    (".to_out.0.", ".o."),
    (".to_", "."),
    (".add_k_proj.", ".k_img."),
    (".add_v_proj.", ".v_img."),
    (".norm_added_k.", ".norm_k_img."),
]


def build(config: dict) -> WanTransformer3DModel:
    """The f32 module, its weights not yet set."""
    image_dim = config.get("image_dim")
    return WanTransformer3DModel(
        num_attention_heads=config["heads"],
        attention_head_dim=config["dim"] // config["heads"],
        in_channels=config["in_dim"],
        out_channels=config["out_dim"],
        text_dim=config["text_dim"],
        ffn_dim=config["ffn_dim"],
        num_layers=config["layers"],
        image_dim=image_dim,
        added_kv_proj_dim=config["dim"] if image_dim else None,
        pos_embed_seq_len=config.get("clip_positions"),
    ).eval()


def original_key(key: str) -> str:
    """The original checkpoint's name of one of diffusers' parameters."""
    for pattern, name in RENAMES:
        if re.search(pattern, key):
            return re.sub(pattern, name, key)
    for part, name in ATTENTION_RENAMES:
        key = key.replace(part, name)
    return key


def draw_weights(config: dict, seed: int) -> Tensors:
    """Random weights under original names."""
    with torch.device("meta"):
        shapes = {original_key(key): value.shape for key, value in build(config).state_dict().items()}
    return random_weights(shapes, seed)


def load(config: dict, weights: Tensors) -> WanTransformer3DModel:
    """The module with these weights (original names, any float dtype), widened to f32."""
    model = build(config)
    state = {key: weights[original_key(key)].float() for key in model.state_dict()}
    model.load_state_dict(state, assign=True)
    return model


@torch.no_grad()
def forward(
    model: WanTransformer3DModel,
    x: torch.Tensor,
    timestep: torch.Tensor,
    context: torch.Tensor,
    clip_fea: torch.Tensor | None = None,
) -> torch.Tensor:
    """x: [B, C, T, H, W]; timestep: [B], or [B, T] for one a latent frame; context: [B, S, text_dim]; out as x.

    With `clip_fea` [B, 257, image_dim] the context must have 512 rows: diffusers takes the last 512 as text. Of two
    images there are twice as many rows; diffusers wants them as twice the batch.
    """
    if clip_fea is not None and model.condition_embedder.image_embedder.pos_embed is not None:
        clip_fea = clip_fea.reshape(2 * clip_fea.shape[0], -1, clip_fea.shape[2])
    if timestep.ndim == 2:
        tokens_per_frame = (x.shape[3] // 2) * (x.shape[4] // 2)
        timestep = timestep.repeat_interleave(tokens_per_frame, dim=1)
    return model(x, timestep, context, encoder_hidden_states_image=clip_fea, return_dict=False)[0]
