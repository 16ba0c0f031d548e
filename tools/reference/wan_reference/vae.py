"""The Wan 2.1 video autoencoder: diffusers' module (with its feature cache) under the original names.

A config is a dict: dim (the base width, 96 in the real file) and z_dim (16).
"""

import re

import torch
from diffusers import AutoencoderKLWan

from .weights import Tensors, random_weights

RENAMES = [
    (r"^quant_conv\.", "conv1."),
    (r"^post_quant_conv\.", "conv2."),
    (r"\.conv_in\.", ".conv1."),
    (r"\.norm_out\.", ".head.0."),
    (r"\.conv_out\.", ".head.2."),
    (r"\.mid_block\.resnets\.0\.", ".middle.0."),
    (r"\.mid_block\.attentions\.0\.", ".middle.1."),
    (r"\.mid_block\.resnets\.1\.", ".middle.2."),
    (r"\.down_blocks\.", ".downsamples."),
]
RESIDUAL_RENAMES = {
    ".norm1.": ".residual.0.",
    ".conv1.": ".residual.2.",
    ".norm2.": ".residual.3.",
    ".conv2.": ".residual.6.",
    ".conv_shortcut.": ".shortcut.",
}


def build(config: dict) -> AutoencoderKLWan:
    """The f32 module, its weights not yet set."""
    return AutoencoderKLWan(base_dim=config["dim"], z_dim=config["z_dim"]).eval()


def original_key(key: str) -> str:
    """The original checkpoint's name of one of diffusers' parameters."""
    if re.search(r"(resnets|down_blocks)\.\d+\.", key):
        for part, name in RESIDUAL_RENAMES.items():
            key = key.replace(part, name)
    key = re.sub(r"\.up_blocks\.(\d+)\.(resnets|upsamplers)\.(\d+)\.", _flat_upsample, key)
    for pattern, name in RENAMES:
        key = re.sub(pattern, name, key)
    return key


def _flat_upsample(match: re.Match) -> str:
    # The original counts three residual blocks and one resampler a stage in one list.
    stage, kind, index = int(match[1]), match[2], int(match[3])
    return f".upsamples.{4 * stage + (3 if kind == 'upsamplers' else index)}."


def draw_weights(config: dict, seed: int) -> Tensors:
    """Random weights under original names."""
    with torch.device("meta"):
        shapes = {original_key(key): value.shape for key, value in build(config).state_dict().items()}
    return random_weights(shapes, seed)


def load(config: dict, weights: Tensors) -> AutoencoderKLWan:
    """The module with these weights (original names, any float dtype), widened to f32."""
    model = build(config)
    state = {key: weights[original_key(key)].float() for key in model.state_dict()}
    model.load_state_dict(state, assign=True)
    return model


@torch.no_grad()
def decode(model: AutoencoderKLWan, z: torch.Tensor) -> torch.Tensor:
    """z: raw latent [B, 16, T, h, w]. Returns pixels in -1..1, [B, 3, 1 + 4*(T-1), 8h, 8w]."""
    return model.decode(z, return_dict=False)[0]


@torch.no_grad()
def encode(model: AutoencoderKLWan, x: torch.Tensor) -> torch.Tensor:
    """x: pixels in -1..1, [B, 3, 1 + 4*(T-1), 8h, 8w]. Returns the raw mean, [B, 16, T, h, w]."""
    return model.encode(x, return_dict=False)[0].mode()
