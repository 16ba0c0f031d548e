"""Runs in which something is done beside guidance: caches, skipped layers, CFG-Zero*, Enhance-A-Video, NAG, RIFLEx."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import torch

from . import dit
from .check import SAMPLE_BOUND, Check, draw_contexts, draw_dit_config, sample_flags, seeded
from .feature_runs import CACHES, FEATURES, REUSES, Case, Feature, run_cached
from .probe import Probe, ProbeError
from .run_checks import draw_run, f32
from .sampling import Run, sample
from .weights import relative_error


def draw(dice: Random) -> Iterator[Check]:
    own = lambda: Random(dice.getrandbits(32))
    for cache in (*CACHES, *REUSES):
        yield cache_check(own(), cache)
    for make in FEATURES:
        yield feature_check(own(), make)


def feature_check(dice: Random, make: Feature) -> Check:
    config, run = draw_setting(dice)

    def error(probe: Probe) -> float:
        case, stored = draw_case(config, run, dice)
        denoise = make(case, dice)
        with torch.no_grad():
            expected = sample(run, denoise)
        return found_error(probe, case, stored, expected)

    return Check(f"sample {make.__name__.replace('_', ' ')}", SAMPLE_BOUND, f"{config} {run}", error)


def cache_check(dice: Random, name: str) -> Check:
    """Drawn until the cache does some of what it can."""
    config, run = draw_setting(dice)
    if name in REUSES:
        run = replace(run, steps=12)

    def error(probe: Probe) -> float:
        for _ in range(100):
            case, stored = draw_case(config, run, dice, calm_time=name in ("teacache", "teacache-e0"))
            expected = run_cached(case, name, float(f"{10 ** dice.uniform(-3.0, 1.5):.4g}"))
            if expected is not None:
                return found_error(probe, case, stored, expected)
        raise ProbeError("no draw leaves out some passes and not all")

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


def found_error(probe: Probe, case: Case, stored, expected: torch.Tensor) -> float:
    """The error; a feature that changes nothing proves nothing."""
    found = probe.run("sample", stored, case.inputs, case.flags)
    without = probe.run("sample", stored, case.inputs, sample_flags(case.run))
    if relative_error(found, without) < 3 * SAMPLE_BOUND:
        raise ProbeError(f"the case is too weak: {relative_error(found, without):.1e} away from a plain run")
    return relative_error(found, expected)
