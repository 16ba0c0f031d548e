"""Runs in which something is done beside guidance: caches, skipped layers, CFG-Zero*, Enhance-A-Video, NAG, RIFLEx."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from random import Random

import torch

from . import dit, features
from .check import SAMPLE_BOUND, Check, draw_contexts, draw_dit_config, sample_flags, seeded
from .probe import Probe, ProbeError
from .run_checks import draw_run, f32
from .sampling import Run, sample
from .sigmas import Flow
from .weights import relative_error

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


def draw(dice: Random) -> Iterator[Check]:
    own = lambda: Random(dice.getrandbits(32))
    for cache in CACHES:
        yield cache_check(own(), cache)
    for reuse in ("comfy-easycache", "lazycache"):
        yield reuse_check(own(), reuse)
    for make in (skip_layers, skip_in_negative, zero_star, zero_star_and_zero_steps, enhance, nag, riflex):
        yield feature_check(own(), make)


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
    away = torch.randn(case.contexts["context"].shape, generator=seeded(dice))
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


def feature_check(dice: Random, make: Feature) -> Check:
    config, run = draw_setting(dice)

    def error(probe: Probe) -> float:
        case, stored = draw_case(config, run, dice)
        denoise = make(case, dice)
        with torch.no_grad():
            expected = sample(run, denoise)
        return found_error(probe, case, stored, expected)

    return Check(f"sample {make.__name__.replace('_', ' ')}", SAMPLE_BOUND, f"{config} {run}", error)


CACHES: dict[str, dict] = {
    "teacache": {"rule": "tea", "polynomial": TEA_EMBEDDING},
    "teacache-e0": {"rule": "tea", "polynomial": TEA_MODULATION, "on_modulation": True},
    "teacache-plain": {"rule": "tea", "on_modulation": True},
    "magcache": {"rule": "mag", "ratios": MAG_RATIOS},
    "easycache": {"rule": "easy"},
}


def cache_check(dice: Random, name: str) -> Check:
    """Drawn until some passes are left out, some are not, and none nearly."""
    config, run = draw_setting(dice)

    def error(probe: Probe) -> float:
        for _ in range(100):
            case, stored = draw_case(config, run, dice, calm_time=name in ("teacache", "teacache-e0"))
            threshold = float(f"{10 ** dice.uniform(-3.0, 1.0):.4g}")
            caches = features.Caches(threshold=threshold, **CACHES[name])

            def clean(x: Tensor, sigma: float, which: str) -> Tensor:
                call = lambda: case.velocity(x, sigma, which)
                return x - sigma * caches.run(case.model, which, case.step, run.steps, call)

            with torch.no_grad():
                expected = sample(run, plain(case, clean))
            if 0 < caches.skipped < 2 * (run.steps - 2) and caches.margin > MARGIN_MIN:
                case.flags |= {"cache": f"{name}:{threshold}", "cache-first-step": 1}
                return found_error(probe, case, stored, expected)
        raise ProbeError("no draw leaves out some passes and not all")

    return Check(f"sample {name}", SAMPLE_BOUND, f"{config} {run}", error)


def reuse_check(dice: Random, name: str) -> Check:
    """ComfyUI's own. EasyCache looks at velocities, the negative prompt's first; LazyCache at the guided answer."""
    config, run = draw_setting(dice)
    run = replace(run, steps=12)

    def error(probe: Probe) -> float:
        case, stored = draw_case(config, run, dice)
        flow = Flow(run.shift)
        for _ in range(40):
            threshold = float(f"{10 ** dice.uniform(-2.5, 1.5):.4g}")
            span = {"start_sigma": sigma_at(flow, 0.15), "end_sigma": sigma_at(flow, 0.95)}
            reuse = features.Reuse(threshold, learns_before=name == "lazycache", **span)

            def easy(x: Tensor, sigma: float) -> Tensor:
                compute = lambda: [case.velocity(x, sigma, which) for which in ("context_negative", "context")]
                negative, positive = (x - sigma * v for v in reuse.answers(x, sigma, compute))
                return negative + run.cfg * (positive - negative)

            def lazy(x: Tensor, sigma: float) -> Tensor:
                return reuse.answers(x, sigma, lambda: [plain(case)(x, sigma)])[0]

            with torch.no_grad():
                expected = sample(run, lazy if name == "lazycache" else easy)
            if 0 < reuse.skipped < run.steps - 3 and reuse.margin > MARGIN_MIN:
                case.flags |= {"cache": f"{name}:{threshold}"}
                return found_error(probe, case, stored, expected)
        raise ProbeError("no threshold leaves out some steps and not all")

    return Check(f"sample {name}", SAMPLE_BOUND, f"{config} {run}", error)


def draw_setting(dice: Random) -> tuple[dict, Run]:
    config = draw_dit_config(dice) | {"in_dim": 16, "out_dim": 16, "layers": 2}
    run = draw_run(dice, [1, 16, dice.randint(2, 4), 2 * dice.randint(1, 9), 2 * dice.randint(1, 9)])
    return config, replace(run, cfg=round(dice.uniform(1.5, 6.0), 1), sampler=dice.choice(["euler", "dpmpp_2m"]))


def draw_case(config: dict, run: Run, dice: Random, calm_time: bool = False):
    """`calm_time`: the timestep's embedding changes by a few percent a step, as that of the real models."""
    stored = f32(config, dice)
    if calm_time:
        stored.tensors["time_embedding.2.weight"] *= 10 ** dice.uniform(-1.5, 0.0)
        stored.tensors["time_embedding.2.bias"] *= 5.0
        stored = replace(stored, widened=stored.tensors)
    contexts = draw_contexts(config, dice, seeded(dice))
    return Case(dit.load(config, stored.widened), run, contexts, sample_flags(run), dict(contexts)), stored


def found_error(probe: Probe, case: Case, stored, expected: Tensor) -> float:
    """The error; a feature that changes nothing proves nothing."""
    found = probe.run("sample", stored, case.inputs, case.flags)
    without = probe.run("sample", stored, case.inputs, sample_flags(case.run))
    if relative_error(found, without) < 3 * SAMPLE_BOUND:
        raise ProbeError(f"the case is too weak: {relative_error(found, without):.1e} away from a plain run")
    return relative_error(found, expected)


def sigma_at(flow: Flow, percent: float) -> float:
    return float(flow.sigma_at_percent(percent))
