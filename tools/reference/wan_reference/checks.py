"""What `compare.py` checks: one drawn case of every module, dialect, solver and schedule."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import torch

from . import clip_vision, dialects, dit, feature_checks, gguf_files, lora_checks, noise, run_checks, tokenizer_checks, umt5, vae
from .check import (
    MODULE_BOUND,
    NARROW_BOUND,
    SAMPLE_BOUND,
    SIGMA_BOUND,
    Check,
    as_list,
    draw_contexts,
    draw_dit_config,
    sample_flags,
    seeded,
)
from .dialects import Stored
from .fixtures.clip_vision import draw_image
from .fixtures.dit import run as run_dit
from .fixtures.solvers import with_robust_times
from .fixtures.umt5 import run as run_umt5
from .fixtures.vae import smooth_video
from .probe import Probe, ProbeError
from .sampling import Run, guided, sample
from .sigmas import SCHEDULES, Flow, run_sigmas
from .solvers import SOLVERS
from .weights import relative_error


def draw(seed: int, vocabularies: list[Path]) -> Iterator[Check]:
    """Every check once, with everything about it drawn from the seed."""
    dice = Random(seed)
    for dialect in dialects.DIT_DIALECTS:
        yield dit_check(dialect, Random(dice.getrandbits(32)))
    yield dit_check("f32", Random(dice.getrandbits(32)), image_branch=True)
    yield dit_check("f32", Random(dice.getrandbits(32)), image_branch=True, two_images=True)
    yield dit_check("f32", Random(dice.getrandbits(32)), timestep_per_frame=True)
    for name in ("hugging face f32", "hugging face bf16", "official bf16", "official f32", "comfy fp8_scaled"):
        yield umt5_check(name, Random(dice.getrandbits(32)))
    for kind in ("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K"):
        yield umt5_gguf_check(kind, Random(dice.getrandbits(32)))
    for operation in ("vae-decode", "vae-encode"):
        for dtype in (torch.float32, torch.bfloat16):
            yield vae_check(operation, dtype, Random(dice.getrandbits(32)))
            yield vae_check(operation, dtype, Random(dice.getrandbits(32)), wan22=True)
    for naming in ("hugging face", "official", "open_clip"):
        for dtype in (torch.float32, torch.float16):
            yield clip_vision_check(naming, dtype, Random(dice.getrandbits(32)))
    for crop in ("center", "none"):
        yield clip_preprocess_check(crop, Random(dice.getrandbits(32)))
    for shape in ([1, 16, 5, 30, 52], [1, 16, 1, 3, 5], [1, 1, 1, 1, 7], [2, 16, 3, 2, 11]):
        yield noise_check(shape, Random(dice.getrandbits(32)))
    for scheduler in SCHEDULES:
        yield sigmas_check(scheduler, Random(dice.getrandbits(32)))
    for sampler in SOLVERS:
        yield sample_check(sampler, Random(dice.getrandbits(32)))
    for more in (run_checks, lora_checks, feature_checks):
        yield from more.draw(Random(dice.getrandbits(32)))
    yield from tokenizer_checks.draw(Random(dice.getrandbits(32)), vocabularies)


def dit_check(
    dialect: str,
    dice: Random,
    image_branch: bool = False,
    two_images: bool = False,
    timestep_per_frame: bool = False,
) -> Check:
    config = draw_dit_config(dice)
    frames = dice.randint(1, 4)
    timestep: object = round(dice.uniform(0.0, 1000.0), 3)
    if config["in_dim"] == 48:
        timestep = [[dice.choice([0.0, timestep]) for _ in range(frames)]]
    rows = dice.choice([1, dice.randint(2, 100), 512, 512, 600])
    facts = {
        "latent": [frames, 2 * dice.randint(1, 7), 2 * dice.randint(1, 7)],
        "timestep": timestep,
        "context": [rows, dice.randint(1, rows)],
    }
    if image_branch:
        config |= {"in_dim": 36, "out_dim": 16, "image_dim": 16 * dice.randint(4, 20)}
        facts |= {"timestep": 500.5, "context": [512, 30], "clip_tokens": 257}
    if two_images:
        config |= {"clip_positions": 514}
        facts |= {"clip_tokens": 514}
    if timestep_per_frame:
        # The 5B model's image to video: the given frame is clean.
        config |= {"in_dim": 48, "out_dim": 48}
        facts |= {"timestep": [[0.0, *[round(dice.uniform(1.0, 1000.0), 3)] * frames]]}
        facts |= {"latent": [frames + 1, *facts["latent"][1:]]}

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        stored = dialects.DIT_DIALECTS[dialect](dit.draw_weights(config, dice.getrandbits(32)))
        case = run_dit(dit.load(config, stored.widened), config, facts, generator)
        return relative_error(probe.run("dit", stored, case.inputs), case.outputs["out"])

    bound = MODULE_BOUND if dialect.startswith("f32") else NARROW_BOUND
    name = f"dit {dialect}"
    name += ", two images" if two_images else ", image branch" if image_branch else ""
    name += ", timestep per frame" if timestep_per_frame else ""
    return Check(name, bound, f"{config} {facts}", error)


def umt5_check(name: str, dice: Random) -> Check:
    heads = dice.randint(1, 4)
    config = {
        "dim": 64 * heads,
        "heads": heads,
        "head_dim": 64,
        "ffn_dim": 8 * dice.randint(5, 40),
        "layers": dice.randint(1, 3),
        "vocab": dice.randint(40, 300),
    }
    length = dice.choice([1, dice.randint(2, 200), 512])
    tokens = [dice.randint(1, length)]

    def error(probe: Probe) -> float:
        drawn = umt5.draw_weights(config, dice.getrandbits(32))
        if name == "comfy fp8_scaled":
            stored = dialects.scaled_fp8_old(drawn)
        else:
            stored = dialects.store_as(torch.float32 if "f32" in name else torch.bfloat16, drawn)
        case = run_umt5(config, stored.widened, {"drawn": (length, tokens)}, dice.getrandbits(32))["drawn"]
        if name.startswith("official"):
            stored = Stored(umt5.to_official(stored.tensors), {})
        return relative_error(probe.run("umt5", stored, case.inputs), case.outputs["out"])

    bound = MODULE_BOUND if "f32" in name else NARROW_BOUND
    return Check(f"umt5 {name}", bound, f"{config} {tokens[0]} of {length} tokens", error)


def umt5_gguf_check(kind: str, dice: Random) -> Check:
    """As llama.cpp names and packs them, the table of tokens included."""
    config = {"dim": 256, "heads": 4, "head_dim": 64, "ffn_dim": 256 * dice.randint(1, 2), "layers": 2, "vocab": 99}
    length = dice.randint(2, 200)
    tokens = [dice.randint(1, length)]

    def error(probe: Probe) -> float:
        stored = gguf_files.store(kind, umt5.draw_weights(config, dice.getrandbits(32)), seeded(dice))
        case = run_umt5(config, stored.widened, {"drawn": (length, tokens)}, dice.getrandbits(32))["drawn"]
        stored.packed = {umt5.renamed(key, umt5.GGUF_RENAMES): value for key, value in stored.packed.items()}
        return relative_error(probe.run("umt5", stored, case.inputs), case.outputs["out"])

    return Check(f"umt5 GGUF {kind}", NARROW_BOUND, f"{config} {tokens[0]} of {length} tokens", error)


def vae_check(operation: str, dtype: torch.dtype, dice: Random, wan22: bool = False) -> Check:
    config = {"dim": dice.choice([5, 8, 12, 16, 20]), "z_dim": 16}
    frames, height, width = dice.randint(1, 5), dice.randint(1, 6), dice.randint(1, 6)
    if wan22:
        config |= {"decoder_dim": dice.choice([3, 8, 12, 16]), "z_dim": 48}
        height, width = dice.randint(1, 4), dice.randint(1, 4)

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        stored = dialects.store_as(dtype, vae.draw_weights(config, dice.getrandbits(32)))
        model = vae.load(config, stored.widened)
        if operation == "vae-decode":
            z = torch.randn(1, config["z_dim"], frames, height, width, generator=generator)
            return relative_error(probe.run(operation, stored, {"z": z}), vae.decode(model, z))
        factor = vae.spatial_factor(config)
        x = smooth_video(1 + 4 * (frames - 1), factor * height, factor * width, generator)
        return relative_error(probe.run(operation, stored, {"x": x}), vae.encode(model, x))

    name = {torch.float32: "f32", torch.bfloat16: "bf16"}[dtype]
    bound = MODULE_BOUND if dtype == torch.float32 else NARROW_BOUND
    generation = "2.2" if wan22 else "2.1"
    return Check(f"{operation} {generation} {name}", bound, f"{config} latent {frames}x{height}x{width}", error)


def draw_clip_config(dice: Random) -> dict:
    heads, patch = dice.choice([1, 1, 2]), dice.choice([4, 7, 14])
    return {
        "dim": 80 * heads,
        "heads": heads,
        "ffn_dim": 8 * dice.randint(5, 40),
        "layers": dice.randint(2, 4),
        "patch": patch,
        "size": patch * dice.randint(1, 16),
    }


def clip_vision_check(naming: str, dtype: torch.dtype, dice: Random) -> Check:
    config = draw_clip_config(dice)

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        stored = dialects.store_as(dtype, clip_vision.draw_weights(config, dice.getrandbits(32)))
        expected = clip_vision.load(config, stored.widened)
        if naming != "hugging face":
            stored = Stored(clip_vision.renamed(naming, stored.tensors), {})
        pixels = torch.randn(dice.randint(1, 2), 3, config["size"], config["size"], generator=generator)
        found = probe.run("clip-vision", stored, {"pixel_values": pixels})
        return relative_error(found, clip_vision.forward(expected, pixels))

    name = {torch.float32: "f32", torch.float16: "f16"}[dtype]
    return Check(f"clip-vision {naming} {name}", MODULE_BOUND, f"{config}", error)


def clip_preprocess_check(crop: str, dice: Random) -> Check:
    """A pixel half way between two 255ths may be rounded to either, so the bound is wider."""
    config = draw_clip_config(dice)
    height, width = dice.randint(5, 400), dice.randint(5, 400)

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        stored = dialects.store_as(torch.float32, clip_vision.draw_weights(config, dice.getrandbits(32)))
        image = draw_image(height, width, generator)
        found = probe.run("clip-vision", stored, {"image": image}, {"crop": crop})
        pixels = clip_vision.preprocess(image, config["size"], crop)
        return relative_error(found, clip_vision.forward(clip_vision.load(config, stored.widened), pixels))

    return Check(f"clip-vision image {crop}", SAMPLE_BOUND, f"{config} image {height}x{width}", error)


def noise_check(shape: list[int], dice: Random) -> Check:
    seed = dice.getrandbits(dice.choice([8, 32, 63]))

    def error(probe: Probe) -> float:
        found = probe.run("noise", flags={"seed": seed, "shape": as_list(shape)})
        expected = noise.initial_noise(seed, shape)
        return 0.0 if torch.equal(found, expected) else max(relative_error(found, expected), 1e-30)

    return Check(f"noise {as_list(shape)}", 0.0, f"seed {seed}", error)


def sigmas_check(scheduler: str, dice: Random) -> Check:
    steps, shift = dice.randint(2, 60), round(dice.uniform(1.0, 15.0), 2)

    def error(probe: Probe) -> float:
        found = probe.json("sigmas", {"scheduler": scheduler, "steps": steps, "shift": shift})
        found = found["sigmas"] if isinstance(found, dict) else found
        expected = run_sigmas(Flow(shift), scheduler, "euler", steps)
        if not isinstance(found, list) or len(found) != len(expected):
            raise ProbeError(f"expected a list of {len(expected)} sigmas, found {str(found)[:200]}")
        return max(abs(a - b) for a, b in zip(found, expected))

    return Check(f"sigmas {scheduler}", SIGMA_BOUND, f"steps {steps} shift {shift} (absolute)", error)


def sample_check(sampler: str, dice: Random) -> Check:
    config = draw_dit_config(dice) | {"in_dim": 16, "out_dim": 16, "layers": 1}
    latent = [dice.randint(1, 3), 2 * dice.randint(1, 4), 2 * dice.randint(1, 4)]
    run = None
    while run is None:
        run = with_robust_times(
            Run(
                seed=dice.getrandbits(32),
                shape=[1, 16, *latent],
                steps=8,
                shift=round(dice.uniform(2.0, 9.0), 2),
                sampler=sampler,
                scheduler=dice.choice(list(SCHEDULES)),
                cfg=dice.choice([1.0, round(dice.uniform(1.5, 6.0), 1)]),
                denoise=dice.choice([1.0, 1.0, 0.6]),
                start_step=dice.choice([0, 0, 0, 2]),
            )
        )

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        stored = dialects.store_as(torch.float32, dit.draw_weights(config, dice.getrandbits(32)))
        contexts = draw_contexts(config, dice, generator)
        velocity = partial(dit.forward, dit.load(config, stored.widened))
        expected = sample(run, guided(velocity, cfg=run.cfg, **contexts))
        return relative_error(probe.run("sample", stored, contexts, sample_flags(run)), expected)

    return Check(f"sample {sampler} {run.scheduler}", SAMPLE_BOUND, f"{run}", error)
