"""One check of `compare.py`, and what all of them share."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import torch

from .probe import Probe
from .sampling import Run

# Promised for f32 modules is 1e-4; but exact GELU in place of its tanh form is only 1.1e-4 away from right.
MODULE_BOUND, SAMPLE_BOUND, NARROW_BOUND, SIGMA_BOUND = 2e-5, 1e-3, 1e-2, 1e-6


@dataclass
class Check:
    """A drawn case. `error` runs the probe and PyTorch; `facts` says what was drawn."""

    name: str
    bound: float
    facts: str
    error: Callable[[Probe], float]


def draw_dit_config(dice: Random) -> dict:
    heads = dice.choice([1, 1, 2, 3])
    in_dim, out_dim = dice.choice([(16, 16), (16, 16), (36, 16), (48, 48)])
    return {
        "dim": 128 * heads,
        "heads": heads,
        "layers": dice.randint(1, 3),
        "ffn_dim": 8 * dice.randint(5, 70),
        "text_dim": 8 * dice.randint(3, 20),
        "in_dim": in_dim,
        "out_dim": out_dim,
    }


def draw_contexts(config: dict, dice: Random, generator: torch.Generator, rows: int = 64) -> dict[str, torch.Tensor]:
    """A prompt and a negative one, padded with zeros."""
    contexts = {
        name: torch.randn(1, rows, config["text_dim"], generator=generator) for name in ("context", "context_negative")
    }
    for context in contexts.values():
        context[:, dice.randint(1, rows) :] = 0.0
    return contexts


def sample_flags(run: Run) -> dict[str, object]:
    flags = {
        "seed": run.seed,
        "shape": as_list(run.shape),
        "steps": run.steps,
        "cfg": run.cfg,
        "shift": run.shift,
        "sampler": run.sampler,
        "scheduler": run.scheduler,
    }
    if run.denoise < 1.0:
        flags["denoise"] = run.denoise
    if run.start_step:
        flags["start-step"] = run.start_step
    return flags


def as_list(shape: list[int]) -> str:
    return ",".join(str(size) for size in shape)


def seeded(dice: Random) -> torch.Generator:
    return torch.Generator().manual_seed(dice.getrandbits(32))
