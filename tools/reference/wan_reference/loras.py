"""LoRA files in the dialects that are around, and the weights that they stand for."""

from collections.abc import Callable
from random import Random

import torch

from . import dit
from .dialects import Stored
from .weights import Tensors

DOWN_UP = (".lora_down.weight", ".lora_up.weight")
A_B = (".lora_A.weight", ".lora_B.weight")


class Dialect:
    """How a layer is spelled, what its two matrices are called, and what else such files hold."""

    def __init__(self, spell: Callable[[str], str], ends: tuple[str, str], alpha: bool = False, whole: bool = False):
        self.spell, self.ends, self.alpha, self.whole = spell, ends, alpha, whole


def in_diffusers(layer: str) -> str:
    """The name of a block's linear layer in diffusers."""
    for ours, theirs in ((".self_attn.", ".attn1."), (".cross_attn.", ".attn2.")):
        if ours in layer:
            start, end = layer.split(ours)
            return start + theirs + {"o": "to_out.0", "k_img": "add_k_proj", "v_img": "add_v_proj"}.get(end, f"to_{end}")
    return layer.replace(".ffn.0", ".ffn.net.0.proj").replace(".ffn.2", ".ffn.net.2")


DIALECTS = {
    "ComfyUI": Dialect(lambda layer: f"diffusion_model.{layer}", A_B),
    "kijai": Dialect(lambda layer: f"diffusion_model.{layer}", DOWN_UP, alpha=True),
    "musubi": Dialect(lambda layer: "lora_unet_" + layer.replace(".", "_"), DOWN_UP, alpha=True),
    "Wan Fun": Dialect(lambda layer: "lora_unet__" + layer.replace(".", "_"), DOWN_UP, alpha=True),
    "PEFT": Dialect(lambda layer: f"base_model.model.{layer}", (".lora_A.default.weight", ".lora_B.default.weight")),
    "diffusers": Dialect(lambda layer: f"transformer.{in_diffusers(layer)}", A_B),
    "lightx2v": Dialect(lambda layer: f"diffusion_model.{layer}", DOWN_UP, whole=True),
}


def draw(dialect: Dialect, config: dict, strength: float, dice: Random) -> tuple[Stored, Tensors]:
    """A file that changes every linear layer of the blocks, and the change of each weight.

    `whole` files also change biases (`diff_b`), norms and the patch embedding (`diff`).
    """
    generator = torch.Generator().manual_seed(dice.getrandbits(32))
    weights = dit.draw_weights(config, 0)
    tensors, changes = {}, {}
    for key, weight in weights.items():
        layer = key.removesuffix(".weight")
        if key.endswith(".weight") and key.startswith("blocks.") and weight.ndim == 2:
            rank = dice.choice([1, 3, 4, 8])
            down = torch.randn(rank, weight.shape[1], generator=generator) / weight.shape[1] ** 0.5
            up = torch.randn(weight.shape[0], rank, generator=generator) * 0.3
            name, scale = dialect.spell(layer), 1.0
            tensors |= {name + dialect.ends[0]: down, name + dialect.ends[1]: up}
            if dialect.alpha:
                alpha = dice.choice([1.0, rank / 2, float(rank)])
                tensors[f"{name}.alpha"] = torch.tensor(alpha)
                scale = alpha / rank
            changes[key] = strength * scale * (up @ down)
        elif dialect.whole and key.endswith(".bias"):
            tensors[dialect.spell(key.removesuffix(".bias")) + ".diff_b"] = 0.1 * torch.randn(weight.shape, generator=generator)
            changes[key] = strength * tensors[dialect.spell(key.removesuffix(".bias")) + ".diff_b"]
        elif dialect.whole and key.endswith(".weight") and (weight.ndim == 1 or weight.ndim == 5):
            tensors[dialect.spell(layer) + ".diff"] = 0.05 * torch.randn(weight.shape, generator=generator)
            changes[key] = strength * tensors[dialect.spell(layer) + ".diff"]
    return Stored(tensors, {}, suffix=f":{strength}"), changes


def merged(weights: Tensors, *all_changes: Tensors) -> Tensors:
    """Weights with every change added."""
    weights = dict(weights)
    for changes in all_changes:
        for key, change in changes.items():
            weights[key] = weights[key].float() + change
    return weights
