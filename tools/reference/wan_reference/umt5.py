"""The UMT5 text encoder: transformers' module, with the official (Wan) names as a second dialect.

A config is a dict: dim, heads, head_dim, ffn_dim, layers, vocab.
"""

import re

import torch
from transformers import UMT5Config, UMT5EncoderModel

from .weights import Tensors, random_weights

# Name in Hugging Face's files -> name in the official ones.
OFFICIAL_RENAMES = [
    (r"^shared\.weight$", "token_embedding.weight"),
    (r"^encoder\.final_layer_norm\.", "norm."),
    (r"^encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.relative_attention_bias\.", r"blocks.\1.pos_embedding.embedding."),
    (r"^encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.", r"blocks.\1.attn."),
    (r"^encoder\.block\.(\d+)\.layer\.0\.layer_norm\.", r"blocks.\1.norm1."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.layer_norm\.", r"blocks.\1.norm2."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_0\.", r"blocks.\1.ffn.gate.0."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_1\.", r"blocks.\1.ffn.fc1."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wo\.", r"blocks.\1.ffn.fc2."),
]

# Name in Hugging Face's files -> name in GGUF files, as llama.cpp writes them.
GGUF_RENAMES = [
    (r"^shared\.weight$", "token_embd.weight"),
    (r"^encoder\.final_layer_norm\.", "enc.output_norm."),
    (r"^encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.relative_attention_bias\.", r"enc.blk.\1.attn_rel_b."),
    (r"^encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.", r"enc.blk.\1.attn_"),
    (r"^encoder\.block\.(\d+)\.layer\.0\.layer_norm\.", r"enc.blk.\1.attn_norm."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.layer_norm\.", r"enc.blk.\1.ffn_norm."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_0\.", r"enc.blk.\1.ffn_gate."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_1\.", r"enc.blk.\1.ffn_up."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wo\.", r"enc.blk.\1.ffn_down."),
]


def build(config: dict) -> UMT5EncoderModel:
    """The f32 module, its weights not yet set."""
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=config["vocab"],
            d_model=config["dim"],
            d_kv=config["head_dim"],
            d_ff=config["ffn_dim"],
            num_layers=config["layers"],
            num_heads=config["heads"],
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
        )
    ).eval()


def keys(model: UMT5EncoderModel) -> list[str]:
    """Parameter names without the second name of the tied token table."""
    return [key for key in model.state_dict() if key != "encoder.embed_tokens.weight"]


def renamed(key: str, renames: list[tuple[str, str]]) -> str:
    """The name in another dialect of one of Hugging Face's parameters."""
    for pattern, name in renames:
        if re.search(pattern, key):
            return re.sub(pattern, name, key)
    raise KeyError(key)


def draw_weights(config: dict, seed: int) -> Tensors:
    """Random weights under Hugging Face's names."""
    model = build(config)
    state = model.state_dict()
    return random_weights({key: state[key].shape for key in keys(model)}, seed)


def to_official(weights: Tensors) -> Tensors:
    """The same weights under the official names."""
    return {renamed(key, OFFICIAL_RENAMES): value for key, value in weights.items()}


def load(config: dict, weights: Tensors) -> UMT5EncoderModel:
    """The module with these weights (Hugging Face's names, any float dtype), widened to f32."""
    model = build(config)
    state = {key: weights[key].float() for key in keys(model)}
    model.load_state_dict(state | {"encoder.embed_tokens.weight": state["shared.weight"]}, assign=True)
    return model


@torch.no_grad()
def forward(model: UMT5EncoderModel, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """input_ids, attention_mask: [B, L] int64. Returns [B, L, dim]; rows beyond the mask are set to zero."""
    hidden = model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    return hidden * attention_mask.unsqueeze(-1)
