"""Whole runs with pictures, kept latents, two experts and a guidance a step; and runs of quantised files."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from random import Random

import torch

from . import dialects, dit, gguf_files
from .check import NARROW_BOUND, SAMPLE_BOUND, Check, draw_contexts, draw_dit_config, sample_flags, seeded
from .conditioned import Kept, denoiser, sample_experts, with_picture
from .fixtures.dit import run as run_dit
from .probe import Probe
from .sampling import Run, guided, sample
from .weights import relative_error

Tensors = dict[str, torch.Tensor]

# Solvers that call the model once a step, and draw no noise of their own.
PLAIN_SOLVERS = ("euler", "dpmpp_2m", "uni_pc", "res_multistep", "deis")
# Odd numbers of tokens, single frames, one row, larger ones.
SHAPES = ([1, 2, 2], [3, 6, 10], [2, 10, 14], [5, 2, 18])


def draw(dice: Random) -> Iterator[Check]:
    own = lambda: Random(dice.getrandbits(32))
    for latent in SHAPES:
        yield image_check(own(), latent)
    for kind in ("clip", "two images"):
        yield image_check(own(), dice.choice(SHAPES), kind)
    for latent in SHAPES[1:]:
        yield first_latent_check(own(), latent)
    for kind in ("per frame", "soft", "TI2V per frame"):
        yield mask_check(own(), dice.choice(SHAPES[1:]), kind)
    for by in ("step", "boundary", "step, picture"):
        yield experts_check(own(), dice.choice(SHAPES), by)
    yield cfg_check(own(), dice.choice(SHAPES))
    for kind in gguf_files.KINDS:
        yield gguf_check(own(), kind)
    for kind in ("fp8_e4m3fn", "fp8_e5m2", "fp8_scaled old", "fp8_scaled new"):
        yield narrow_run_check(own(), kind)
    for kind in ("Q8_0", "Q4_K"):
        yield narrow_run_check(own(), kind)


def image_check(dice: Random, latent: list[int], kind: str = "") -> Check:
    """Image to video by channels beside the noise, with or without the image branch."""
    config = draw_dit_config(dice) | {"in_dim": 36, "out_dim": 16, "layers": 2}
    if kind:
        config |= {"image_dim": 16 * dice.randint(4, 20)}
    if kind == "two images":
        config |= {"clip_positions": 514}
    run = draw_run(dice, [1, 16, *latent])

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        stored = f32(config, dice)
        inputs = draw_contexts(config, dice, generator, rows=512 if kind else 64) | draw_picture(latent, generator)
        clip = {}
        if kind:
            tokens = 514 if kind == "two images" else 257
            clip = {"clip_fea": torch.randn(1, tokens, config["image_dim"], generator=generator)}
        given = inputs | clip
        if dice.random() < 0.5:
            # A first frame's own mask is what is taken if there is none.
            inputs["image_mask"] = first_frame_mask(latent)
            given = {key: value for key, value in (inputs | clip).items() if key != "image_mask"}
        velocity = partial(dit.forward, dit.load(config, stored.widened))
        velocity = with_picture(velocity, inputs["image_mask"], inputs["image_latent"], clip.get("clip_fea"))
        expected = sample(run, denoiser(velocity, inputs, [run.cfg]))
        return relative_error(probe.run("sample", stored, given, sample_flags(run)), expected)

    return Check(f"sample I2V {kind}".strip() + f" {run.sampler}", SAMPLE_BOUND, f"{config} {run}", error)


def first_latent_check(dice: Random, latent: list[int]) -> Check:
    """TI2V: the first latent frame is given and stays clean, at timestep 0."""
    config = draw_dit_config(dice) | {"in_dim": 48, "out_dim": 48, "layers": 2}
    run = draw_run(dice, [1, 48, *latent])

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        stored = f32(config, dice)
        contexts = draw_contexts(config, dice, generator)
        first = torch.randn(1, 48, 1, *latent[1:], generator=generator)
        start = torch.zeros(run.shape)
        start[:, :, :1] = first
        mask = torch.ones(1, 1, *latent)
        mask[:, :, 0] = 0.0
        velocity = partial(dit.forward, dit.load(config, stored.widened))
        expected = sample(run, Kept(start, mask, frame_timesteps=True).denoiser(run, velocity, contexts), start)
        found = probe.run("sample", stored, contexts | {"image_latent": first}, sample_flags(run))
        # uni_pc ends a hair above no noise, and divides by it; all else gives the picture back as it was.
        kept = (found[:, :, :1] - first).abs().max().item() if run.sampler != "uni_pc" else 0.0
        return max(relative_error(found, expected), kept)

    return Check(f"sample TI2V first latent {run.sampler}", SAMPLE_BOUND, f"{config} {run}", error)


def mask_check(dice: Random, latent: list[int], kind: str) -> Check:
    """A latent of which something is kept: whole frames, or shares of every value."""
    frame_timesteps = kind.startswith("TI2V")
    channels = 48 if frame_timesteps else 16
    config = draw_dit_config(dice) | {"in_dim": channels, "out_dim": channels, "layers": 2}
    run = draw_run(dice, [1, channels, *latent])

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        stored = f32(config, dice)
        contexts = draw_contexts(config, dice, generator)
        start = torch.randn(run.shape, generator=generator)
        if kind == "soft":
            given = torch.rand(1, *latent, generator=generator)
            mask = given[:, None]
        else:
            given = torch.rand(1, latent[0], generator=generator)
            if kind == "per frame":
                given = given.round()
            given[0, 0], given[0, -1] = dice.choice([(0.0, 1.0), (1.0, 0.0)])
            mask = given[:, None, :, None, None].expand(1, 1, *latent)
        velocity = partial(dit.forward, dit.load(config, stored.widened))
        expected = sample(run, Kept(start, mask, frame_timesteps).denoiser(run, velocity, contexts), start)
        found = probe.run("sample", stored, contexts | {"latent": start, "mask": given}, sample_flags(run))
        return relative_error(found, expected)

    return Check(f"sample mask {kind} {run.sampler}", SAMPLE_BOUND, f"{config} {run}", error)


def experts_check(dice: Random, latent: list[int], by: str) -> Check:
    """Two transformers, each with its guidance."""
    picture = by.endswith("picture")
    config = draw_dit_config(dice) | {"in_dim": 36 if picture else 16, "out_dim": 16, "layers": 1}
    # One of the two runs may have a single step, for which uni_pc does nothing.
    run = replace(draw_run(dice, [1, 16, *latent]), sampler=dice.choice(["euler", "dpmpp_2m", "res_multistep", "deis"]))
    cfg_low = dice.choice([1.0, 3.5])
    sigmas = run.sigmas()
    switch = dice.randint(1, run.steps - 1)
    boundary = (sigmas[switch - 1] + sigmas[switch]) / 2

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        high, low = f32(config, dice), f32(config, dice)
        inputs = draw_contexts(config, dice, generator)
        if picture:
            inputs |= draw_picture(latent, generator)

        def of(stored: dialects.Stored, cfg: float):
            velocity = partial(dit.forward, dit.load(config, stored.widened))
            if picture:
                velocity = with_picture(velocity, inputs["image_mask"], inputs["image_latent"], None)
            return denoiser(velocity, inputs, [cfg])

        expected = sample_experts(run, switch, of(high, run.cfg), of(low, cfg_low))
        flags = sample_flags(run) | {"cfg-low": cfg_low}
        flags |= {"boundary": boundary} if by == "boundary" else {"switch-step": switch}
        return relative_error(probe.run("sample", high, inputs, flags, {"weights-low": low}), expected)

    facts = f"{config} {run} switch {switch}, boundary {boundary:.4f}, cfg_low {cfg_low}"
    return Check(f"sample two experts by {by} {run.sampler}", SAMPLE_BOUND, facts, error)


def cfg_check(dice: Random, latent: list[int]) -> Check:
    """A guidance for each step; fewer than steps, so that the last goes on."""
    config = draw_dit_config(dice) | {"in_dim": 16, "out_dim": 16, "layers": 1}
    run = draw_run(dice, [1, 16, *latent])
    cfg = [round(dice.uniform(1.0, 6.0), 2) for _ in range(run.steps - 3)] + [1.0]

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        stored = f32(config, dice)
        contexts = draw_contexts(config, dice, generator)
        velocity = partial(dit.forward, dit.load(config, stored.widened))
        expected = sample(run, denoiser(velocity, contexts, cfg))
        flags = sample_flags(run) | {"cfg": ",".join(str(value) for value in cfg)}
        return relative_error(probe.run("sample", stored, contexts, flags), expected)

    return Check(f"sample cfg per step {run.sampler}", SAMPLE_BOUND, f"{config} {run} cfg {cfg}", error)


def gguf_check(dice: Random, kind: str) -> Check:
    """One forward pass of a GGUF file, against the same weights widened."""
    config = draw_dit_config(dice) | {"dim": 256, "heads": 2, "ffn_dim": 256 * dice.randint(1, 3)}
    facts = {
        "latent": [dice.randint(1, 3), 2 * dice.randint(1, 7), 2 * dice.randint(1, 7)],
        "timestep": round(dice.uniform(0.0, 1000.0), 3),
        "context": [64, dice.randint(1, 64)],
    }

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        stored = quantised(kind, config, dice, generator)
        case = run_dit(dit.load(config, stored.widened), config, facts, generator)
        return relative_error(probe.run("dit", stored, case.inputs), case.outputs["out"])

    return Check(f"dit GGUF {kind}", NARROW_BOUND, f"{config} {facts}", error)


def narrow_run_check(dice: Random, kind: str) -> Check:
    """A whole run of a file in fp8 or GGUF, against the same weights widened."""
    config = draw_dit_config(dice) | {"dim": 256, "heads": 2, "ffn_dim": 512, "in_dim": 16, "out_dim": 16}
    latent = dice.choice(SHAPES)
    run = draw_run(dice, [1, 16, *latent])

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        stored = quantised(kind, config, dice, generator)
        contexts = draw_contexts(config, dice, generator)
        velocity = partial(dit.forward, dit.load(config, stored.widened))
        expected = sample(run, guided(velocity, cfg=run.cfg, **contexts))
        return relative_error(probe.run("sample", stored, contexts, sample_flags(run)), expected)

    return Check(f"sample {kind} {run.sampler}", NARROW_BOUND, f"{config} {run}", error)


def draw_run(dice: Random, shape: list[int]) -> Run:
    return Run(
        seed=dice.getrandbits(32),
        shape=shape,
        steps=dice.randint(6, 8),
        shift=round(dice.uniform(2.0, 9.0), 2),
        sampler=dice.choice(PLAIN_SOLVERS),
        scheduler=dice.choice(["simple", "beta", "normal"]),
        cfg=dice.choice([1.0, round(dice.uniform(1.5, 6.0), 1)]),
    )


def draw_picture(latent: list[int], generator: torch.Generator) -> Tensors:
    """Known latents, and a mask that differs between the four frames of a latent frame."""
    known = torch.randn(1, 16, *latent, generator=generator)
    mask = torch.rand(1, 4, latent[0], 1, 1, generator=generator).round().expand(1, 4, *latent).contiguous()
    return {"image_latent": known, "image_mask": mask}


def first_frame_mask(latent: list[int]) -> torch.Tensor:
    mask = torch.zeros(1, 4, *latent)
    mask[:, :, 0] = 1.0
    return mask


def f32(config: dict, dice: Random) -> dialects.Stored:
    return dialects.store_as(torch.float32, dit.draw_weights(config, dice.getrandbits(32)))


def quantised(kind: str, config: dict, dice: Random, generator: torch.Generator) -> dialects.Stored:
    weights = dit.draw_weights(config, dice.getrandbits(32))
    if kind in gguf_files.KINDS:
        return gguf_files.store(kind, weights, generator)
    return dialects.DIT_DIALECTS[kind](weights)
