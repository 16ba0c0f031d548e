"""The Wan video autoencoders: diffusers' module (with its feature cache) under the original names.

A config is a dict: dim (the base width, 96 in the real 2.1 file) and z_dim (16); of Wan 2.2 also decoder_dim (the
real file has dim 160, decoder_dim 256, z_dim 48).
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
    residual = {}
    if is_22(config):
        residual = {
            "decoder_base_dim": config["decoder_dim"],
            "is_residual": True,
            "in_channels": 12,
            "out_channels": 12,
            "patch_size": 2,
            "scale_factor_spatial": 16,
        }
    return AutoencoderKLWan(base_dim=config["dim"], z_dim=config["z_dim"], **residual).eval()


def is_22(config: dict) -> bool:
    """Whether it is the architecture of Wan 2.2."""
    return "decoder_dim" in config


def spatial_factor(config: dict) -> int:
    """Pixels a side of a latent pixel."""
    return 16 if is_22(config) else 8


def original_key(key: str, nested: bool) -> str:
    """The original checkpoint's name of one of diffusers' parameters; Wan 2.2 nests its lists."""
    if re.search(r"(resnets|down_blocks)\.\d+\.", key):
        for part, name in RESIDUAL_RENAMES.items():
            key = key.replace(part, name)
    key = re.sub(r"\.(down|up)_blocks\.(\d+)\.resnets\.(\d+)\.", _nested_residual, key) if nested else key
    key = re.sub(r"\.(down|up)_blocks\.(\d+)\.(?:down|up)sampler\.", _nested_resample, key)
    key = re.sub(r"\.up_blocks\.(\d+)\.(resnets|upsamplers)\.(\d+)\.", _flat_upsample, key)
    for pattern, name in RENAMES:
        key = re.sub(pattern, name, key)
    return key


def _flat_upsample(match: re.Match) -> str:
    # The original counts three residual blocks and one resampler a stage in one list.
    stage, kind, index = int(match[1]), match[2], int(match[3])
    return f".upsamples.{4 * stage + (3 if kind == 'upsamplers' else index)}."


def _nested_residual(match: re.Match) -> str:
    list_name = f"{match[1]}samples"
    return f".{list_name}.{match[2]}.{list_name}.{match[3]}."


def _nested_resample(match: re.Match) -> str:
    # After two residual blocks of a stage of the encoder, three of the decoder.
    list_name, index = f"{match[1]}samples", {"down": 2, "up": 3}[match[1]]
    return f".{list_name}.{match[2]}.{list_name}.{index}."


def draw_weights(config: dict, seed: int) -> Tensors:
    """Random weights under original names."""
    with torch.device("meta"):
        shapes = {original_key(key, is_22(config)): value.shape for key, value in build(config).state_dict().items()}
    return random_weights(shapes, seed)


def load(config: dict, weights: Tensors) -> AutoencoderKLWan:
    """The module with these weights (original names, any float dtype), widened to f32."""
    model = build(config)
    state = {key: weights[original_key(key, is_22(config))].float() for key in model.state_dict()}
    model.load_state_dict(state, assign=True)
    return model


@torch.no_grad()
def decode(model: AutoencoderKLWan, z: torch.Tensor) -> torch.Tensor:
    """z: raw latent [B, z_dim, T, h, w]. Returns pixels in -1..1, [B, 3, 1 + 4*(T-1), 8h, 8w] (16h, 16w of 2.2)."""
    return model.decode(z, return_dict=False)[0]


@torch.no_grad()
def encode(model: AutoencoderKLWan, x: torch.Tensor) -> torch.Tensor:
    """x: pixels in -1..1, shaped as `decode` gives them. Returns the raw mean, [B, z_dim, T, h, w]."""
    return model.encode(x, return_dict=False)[0].mode()
