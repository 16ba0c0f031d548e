"""The ways in which checkpoints store the same weights, and what each means in f32.

A dialect takes f32 weights under original names and returns a `Stored`: the tensors of a file, its metadata,
and the f32 weights that the file stands for (rounded as the dialect rounds).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from .fixture import write_tensors
from .weights import Tensors

PREFIX = "model.diffusion_model."


@dataclass
class Stored:
    tensors: Tensors
    widened: Tensors
    metadata: dict[str, str] = field(default_factory=dict)
    # What follows the file's name in a flag: the strength of a LoRA.
    suffix: str = ""

    def write(self, path: Path) -> Path:
        """Writes the file; the path may get another extension."""
        write_tensors(path, self.tensors, self.metadata or None)
        return path


def store_as(dtype: torch.dtype, weights: Tensors) -> Stored:
    """Matrices and convolutions in `dtype`; norms, biases and modulation in f32."""
    tensors = {key: value.to(dtype) if is_matrix(key, value) else value for key, value in weights.items()}
    return Stored(tensors, widen(tensors))


def plain_fp8(dtype: torch.dtype, weights: Tensors) -> Stored:
    """Matrices of the blocks in fp8 without scales, the other ones in bf16."""
    tensors = {
        key: value.to(dtype if in_block(key) else torch.bfloat16) if is_matrix(key, value) else value
        for key, value in weights.items()
    }
    return Stored(tensors, widen(tensors))


def scaled_fp8_old(weights: Tensors) -> Stored:
    """A `scaled_fp8` tensor as the mark, `<layer>.scale_weight` beside each fp8 weight."""
    stored = scaled(weights, scale_name="scale_weight")
    stored.tensors["scaled_fp8"] = torch.zeros(2).to(torch.float8_e4m3fn)
    return stored


def scaled_fp8_unmarked(weights: Tensors) -> Stored:
    """kijai's files: scales, no mark."""
    return scaled(weights, scale_name="scale_weight")


def scaled_fp8_new(weights: Tensors) -> Stored:
    """`<layer>.weight_scale`, and a JSON in the uint8 tensor `<layer>.comfy_quant`."""
    stored = scaled(weights, scale_name="weight_scale")
    mark = torch.frombuffer(bytearray(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)
    for key in list(stored.tensors):
        if key.endswith(".weight_scale"):
            stored.tensors[key.replace(".weight_scale", ".comfy_quant")] = mark.clone()
    return stored


def scaled_fp8_metadata(weights: Tensors) -> Stored:
    """`<layer>.weight_scale`, and the formats of all layers in the file's metadata."""
    stored = scaled(weights, scale_name="weight_scale")
    layers = [key.removesuffix(".weight_scale") for key in stored.tensors if key.endswith(".weight_scale")]
    formats = {"format_version": "1.0", "layers": {layer: {"format": "float8_e4m3fn"} for layer in layers}}
    stored.metadata["_quantization_metadata"] = json.dumps(formats)
    return stored


def scaled(weights: Tensors, scale_name: str) -> Stored:
    """Matrices of the blocks as fp8 times a scale that maps their largest value to 448; the rest f16."""
    tensors, widened = {}, {}
    for key, value in weights.items():
        if is_matrix(key, value) and in_block(key):
            scale = value.abs().max() / 448.0
            tensors[key] = (value / scale).to(torch.float8_e4m3fn)
            tensors[key.removesuffix("weight") + scale_name] = scale
            widened[key] = tensors[key].float() * scale
        else:
            tensors[key] = value.half() if is_matrix(key, value) else value
            widened[key] = tensors[key].float()
    return Stored(tensors, widened)


def prefixed(dialect: Callable[[Tensors], Stored], weights: Tensors) -> Stored:
    """Any dialect with every name under `model.diffusion_model.`."""
    stored = dialect(weights)
    stored.tensors = {PREFIX + key: value for key, value in stored.tensors.items()}
    return stored


def is_matrix(key: str, value: torch.Tensor) -> bool:
    return value.ndim > 1 and not key.endswith(("modulation", "gamma"))


def in_block(key: str) -> bool:
    """Layers of the repeated blocks of either model, without T5's bias tables."""
    return ("blocks." in key or "encoder.block." in key) and "bias" not in key and "embedding" not in key


def widen(tensors: Tensors) -> Tensors:
    return {key: value.float() for key, value in tensors.items()}


DIT_DIALECTS: dict[str, Callable[[Tensors], Stored]] = {
    "f32": partial(store_as, torch.float32),
    "f32, prefix": partial(prefixed, partial(store_as, torch.float32)),
    "f16": partial(store_as, torch.float16),
    "bf16": partial(store_as, torch.bfloat16),
    "fp8_e4m3fn": partial(plain_fp8, torch.float8_e4m3fn),
    "fp8_e5m2": partial(plain_fp8, torch.float8_e5m2),
    "fp8_scaled old": scaled_fp8_old,
    "fp8_scaled old, prefix": partial(prefixed, scaled_fp8_old),
    "fp8_scaled new": scaled_fp8_new,
    "fp8_scaled metadata": scaled_fp8_metadata,
    "fp8_scaled unmarked": scaled_fp8_unmarked,
}
