"""Runs in which something is done beside guidance: how each feature changes what is asked of the model."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import torch

from . import dit, features
from .sampling import Run, sample
from .sigmas import Flow

Tensor = torch.Tensor

# Rounding moves sums of changes by far less.
MARGIN_MIN = 1e-3
# Of the 14B models, which every other size takes: the wrapper's tables.
TEA_EMBEDDING = [-5784.54975374, 5449.50911966, -1811.16591783, 256.27178429, -13.02252404]
TEA_MODULATION = [-303318.725, 49053.7029, -2655.30556, 58.7365115, -0.315583525]
MAG_FIRST_RATIOS = [
    1.0, 1.0, 1.02504, 1.03017, 1.00025, 1.00251, 0.9985, 0.99962, 0.99779, 0.99771, 0.9966, 0.99658, 0.99482, 0.99476,
    0.99467, 0.99451, 0.99664, 0.99656, 0.99434, 0.99431, 0.99533, 0.99545, 0.99468, 0.99465, 0.99438, 0.99434, 0.99516,
    0.99517, 0.99384, 0.9938, 0.99404, 0.99401, 0.99517, 0.99516, 0.99409, 0.99408, 0.99428, 0.99426, 0.99347, 0.99343,
    0.99418, 0.99416, 0.99271, 0.99269, 0.99313, 0.99311, 0.99215, 0.99215, 0.99218, 0.99215,
]  # fmt: skip
# The table has 100, and a run never leaves its first half.
MAG_RATIOS = MAG_FIRST_RATIOS + [float("nan")] * 50


@dataclass
class Case:
    """Drawn weights, prompts and settings; the flags and inputs that a feature adds."""

    model: object
    run: Run
    contexts: dict[str, Tensor]
    flags: dict[str, object]
    inputs: dict[str, Tensor]
    step: int = 0

    def velocity(self, x: Tensor, sigma: float, which: str) -> Tensor:
        timestep = torch.tensor([1000.0 * sigma], dtype=torch.float32)
        return dit.forward(self.model, x.float(), timestep, self.contexts[which]).double()

    def clean(self, x: Tensor, sigma: float, which: str) -> Tensor:
        return x - sigma * self.velocity(x, sigma, which)


Denoise = Callable[[Tensor, float], Tensor]
Feature = Callable[[Case, Random], Denoise]


def plain(case: Case, clean: Callable[[Tensor, float, str], Tensor] | None = None) -> Denoise:
    """Guidance, with the step counted."""
    clean = clean or case.clean

    def denoise(x: Tensor, sigma: float) -> Tensor:
        positive, negative = clean(x, sigma, "context"), clean(x, sigma, "context_negative")
        case.step += 1
        return negative + case.run.cfg * (positive - negative)

    return denoise


def skip_layers(case: Case, dice: Random) -> Denoise:
    """ComfyUI's: one more pass of the prompt, led away from."""
    skipped, scale = [dice.randrange(2)], dice.choice([1.5, 3.0])
    start, end = 0.05, 0.6
    case.flags |= {"skip-layers": skipped[0], "skip-scale": scale, "skip-span": f"{start}-{end}"}
    flow, guided = Flow(case.run.shift), plain(case)

    def denoise(x: Tensor, sigma: float) -> Tensor:
        out = guided(x, sigma)
        if not sigma_at(flow, end) <= sigma <= sigma_at(flow, start):
            return out
        with features.blocks_of(case.model, features.without(case.model, skipped)):
            fewer = case.clean(x, sigma, "context")
        return out + scale * (case.clean(x, sigma, "context") - fewer)

    return denoise


def skip_in_negative(case: Case, dice: Random) -> Denoise:
    """The wrapper's: the negative prompt's pass has fewer blocks."""
    skipped, (start, end) = [dice.randrange(2)], (0.25, 0.8)
    case.flags |= {"skip-in-negative": skipped[0], "skip-in-negative-span": f"{start}-{end}"}

    def clean(x: Tensor, sigma: float, which: str) -> Tensor:
        if which == "context" or not start <= case.step / case.run.steps <= end:
            return case.clean(x, sigma, which)
        with features.blocks_of(case.model, features.without(case.model, skipped)):
            return case.clean(x, sigma, which)

    return plain(case, clean)


def zero_star(case: Case, dice: Random, zero_steps: int = 0) -> Denoise:
    """ComfyUI's: the scale is that of velocities, and what is scaled is the negative's clean estimate."""
    case.flags |= {"cfg-zero-star": zero_steps or True}

    def denoise(x: Tensor, sigma: float) -> Tensor:
        case.step += 1
        if case.step <= zero_steps:
            return x
        positive, negative = case.clean(x, sigma, "context"), case.clean(x, sigma, "context_negative")
        along, across = x - positive, x - negative
        share = (along * across).sum() / (across.square().sum() + 1e-8)
        return share * negative + case.run.cfg * (positive - share * negative)

    return denoise


def zero_star_and_zero_steps(case: Case, dice: Random) -> Denoise:
    return zero_star(case, dice, zero_steps=2)


def enhance(case: Case, dice: Random) -> Denoise:
    weight = dice.choice([2.0, 4.0, 9.0])
    case.flags |= {"enhance": weight}
    features.enhance(case.model, case.run.shape[2], weight)
    return plain(case)


def nag(case: Case, dice: Random) -> Denoise:
    """In the prompt's passes alone."""
    case.flags |= {"nag": 11.0}
    away = torch.randn(case.contexts["context"].shape, generator=torch.Generator().manual_seed(dice.getrandbits(32)))
    away[:, dice.randint(1, away.shape[1]) :] = 0.0
    case.inputs |= {"context_nag": away}
    processor = features.NagProcessor(scale=11.0, tau=2.5, alpha=0.25)
    for block in case.model.blocks:
        block.attn2.set_processor(processor)

    def clean(x: Tensor, sigma: float, which: str) -> Tensor:
        with torch.no_grad():
            embedded = case.model.condition_embedder.text_embedder(away)
        processor.negative = embedded if which == "context" else None
        return case.clean(x, sigma, which)

    return plain(case, clean)


def riflex(case: Case, dice: Random) -> Denoise:
    index = dice.randint(1, 8)
    case.flags |= {"riflex": index}
    features.riflex(case.model, index, case.run.shape[2])
    return plain(case)


FEATURES = (skip_layers, skip_in_negative, zero_star, zero_star_and_zero_steps, enhance, nag, riflex)


CACHES: dict[str, dict] = {
    "teacache": {"rule": "tea", "polynomial": TEA_EMBEDDING},
    "teacache-e0": {"rule": "tea", "polynomial": TEA_MODULATION, "on_modulation": True},
    "teacache-plain": {"rule": "tea", "on_modulation": True},
    "magcache": {"rule": "mag", "ratios": MAG_RATIOS},
    "easycache": {"rule": "easy"},
}


REUSES = ("comfy-easycache", "lazycache")


def cached(case: Case, name: str, threshold: float) -> tuple[Denoise, features.Caches]:
    """The wrapper's: each prompt's passes have a cache of their own."""
    caches = features.Caches(threshold=threshold, **CACHES[name])
    case.flags |= {"cache": f"{name}:{threshold}", "cache-first-step": 1}
    case.step = 0

    def clean(x: Tensor, sigma: float, which: str) -> Tensor:
        call = lambda: case.velocity(x, sigma, which)
        return x - sigma * caches.run(case.model, which, case.step, case.run.steps, call)

    return plain(case, clean), caches


def reused(case: Case, name: str, threshold: float) -> tuple[Denoise, features.Reuse]:
    """ComfyUI's own. EasyCache looks at velocities, the negative prompt's first; LazyCache at the guided answer."""
    case.flags |= {"cache": f"{name}:{threshold}"}
    flow = Flow(case.run.shift)
    span = {"start_sigma": sigma_at(flow, 0.15), "end_sigma": sigma_at(flow, 0.95)}
    reuse = features.Reuse(threshold, learns_before=name == "lazycache", **span)

    def easy(x: Tensor, sigma: float) -> Tensor:
        compute = lambda: [case.velocity(x, sigma, which) for which in ("context_negative", "context")]
        negative, positive = (x - sigma * v for v in reuse.answers(x, sigma, compute))
        return negative + case.run.cfg * (positive - negative)

    def lazy(x: Tensor, sigma: float) -> Tensor:
        return reuse.answers(x, sigma, lambda: [plain(case)(x, sigma)])[0]

    return (lazy if name == "lazycache" else easy), reuse


def run_cached(case: Case, name: str, threshold: float) -> Tensor | None:
    """The final latent; `None` if no pass is left out, too many are, or one nearly."""
    denoise, cache = (reused if name in REUSES else cached)(case, name, threshold)
    with torch.no_grad():
        out = sample(case.run, denoise)
    most = case.run.steps - 3 if name in REUSES else 2 * (case.run.steps - 2)
    return out if 0 < cache.skipped < most and cache.margin > MARGIN_MIN else None


def sigma_at(flow: Flow, percent: float) -> float:
    return float(flow.sigma_at_percent(percent))
