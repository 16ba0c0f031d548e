"""Runs with LoRAs beside the weights, against PyTorch with the LoRAs merged into them."""

from collections.abc import Iterator
from functools import partial
from random import Random

from . import dit, loras
from .check import NARROW_BOUND, SAMPLE_BOUND, Check, draw_contexts, draw_dit_config, sample_flags, seeded
from .probe import Probe
from .run_checks import SHAPES, draw_run, f32, quantised
from .sampling import guided, sample
from .weights import relative_error


def draw(dice: Random) -> Iterator[Check]:
    own = lambda: Random(dice.getrandbits(32))
    for dialect in loras.DIALECTS:
        yield lora_check(own(), dialect)
    for base in ("fp8_e4m3fn", "fp8_scaled old", "Q8_0", "Q5_0", "Q4_K"):
        yield lora_check(own(), dice.choice(list(loras.DIALECTS)), base)


def lora_check(dice: Random, dialect: str, base: str = "f32") -> Check:
    config = draw_dit_config(dice) | {"in_dim": 16, "out_dim": 16, "layers": dice.randint(1, 2)}
    if base != "f32":
        config |= {"dim": 256, "heads": 2, "ffn_dim": 512}
    run = draw_run(dice, [1, 16, *dice.choice(SHAPES)])
    strength = dice.choice([1.0, 0.6, -0.5])

    def error(probe: Probe) -> float:
        generator = seeded(dice)
        stored = f32(config, dice) if base == "f32" else quantised(base, config, dice, generator)
        lora, changes = loras.draw(loras.DIALECTS[dialect], config, strength, dice)
        contexts = draw_contexts(config, dice, generator)
        velocity = partial(dit.forward, dit.load(config, loras.merged(stored.widened, changes)))
        expected = sample(run, guided(velocity, cfg=run.cfg, **contexts))
        return relative_error(probe.run("sample", stored, contexts, sample_flags(run), {"lora": lora}), expected)

    bound = SAMPLE_BOUND if base == "f32" else NARROW_BOUND
    return Check(f"sample LoRA {dialect} on {base}", bound, f"{config} {run} strength {strength}", error)
