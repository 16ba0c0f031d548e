"""Random weights that make mistakes visible: no norm is all ones, no bias zero, no gate near zero."""

import math

import torch

Tensors = dict[str, torch.Tensor]


def random_weights(shapes: dict[str, torch.Size], seed: int) -> Tensors:
    """f32 weights for checkpoint keys in their original naming, the same for the same seed and shapes."""
    generator = torch.Generator().manual_seed(seed)
    return {key: _draw(key, shapes[key], generator) for key in sorted(shapes)}


def _draw(key: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    normal = torch.randn(shape, generator=generator)
    if key.endswith("modulation"):
        # Rows are shift, scale, gate (twice): gates around 0.7 keep every branch audible in the output.
        if shape[1] == 6:
            normal[:, [2, 5]] += 2.3
        return 0.3 * normal
    if key.endswith((".bias", "emb_pos")):
        return 0.1 * normal
    if _is_norm(key, shape):
        return 1.0 + 0.25 * normal
    if "embedding.weight" in key and "patch" not in key or key == "shared.weight":
        return normal  # token tables and position bias tables
    if _is_t5_query(key):
        # T5 does not divide logits by sqrt(head size); its query weights carry that factor.
        return normal * 0.5 / shape[1]
    return normal * _gain(key) / math.sqrt(math.prod(shape[1:]))


def _is_norm(key: str, shape: torch.Size) -> bool:
    return key.endswith("gamma") or len(shape) == 1


def _is_t5_query(key: str) -> bool:
    return key.endswith((".attn.q.weight", "SelfAttention.q.weight"))


def _gain(key: str) -> float:
    if ".residual." in key:
        return 1.6  # SiLU halves the power
    if key == "decoder.head.2.weight":
        return 0.8  # pixels fill -1..1 and a few are clamped
    return 1.0


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference over the norm of the reference, in f64."""
    if found.shape != expected.shape:
        return math.inf
    found, expected = found.double(), expected.double()
    return float((found - expected).norm() / expected.norm().clamp_min(1e-30))
