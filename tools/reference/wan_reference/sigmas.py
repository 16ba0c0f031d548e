"""Noise levels of a run: the flow-matching shift and the nine schedules, as ComfyUI defines them.

A sigma is the noise share of a latent: x = (1 - sigma) * clean + sigma * noise. f32 throughout, since ComfyUI
works so, and its stochastic solvers turn the last bits of a sigma into visible noise (they round times to 6 digits).
"""

import math
from collections.abc import Callable

import numpy
import scipy.stats
import torch
from torch import Tensor

STEP_COUNT_TRAINED = 1000
PENULTIMATE_DISCARDED = ("dpm_2", "uni_pc", "uni_pc_bh2")


class Flow:
    """The shift of a model and the table of the 1000 noise levels it was trained on, ascending."""

    def __init__(self, shift: float):
        self.shift = shift
        # Times go to timesteps and back, as in ComfyUI; that is felt in the last bit.
        self.table = self.sigma(torch.arange(1, STEP_COUNT_TRAINED + 1) / STEP_COUNT_TRAINED * 1000 / 1000)
        self.sigma_min, self.sigma_max = float(self.table[0]), float(self.table[-1])

    def sigma(self, time):
        """Noise level at a time in 0..1 (SD3's time shift)."""
        return self.shift * time / (1 + (self.shift - 1) * time)

    def sigma_at_percent(self, percent: float) -> float:
        """Noise level when this share of the run is done."""
        return 1.0 if percent <= 0.0 else 0.0 if percent >= 1.0 else self.sigma(1.0 - percent)


def simple(flow: Flow, steps: int) -> Tensor:
    return ended(flow.table[[-(1 + int(i * (STEP_COUNT_TRAINED / steps))) for i in range(steps)]])


def normal(flow: Flow, steps: int) -> Tensor:
    # The table's ends are taken as times and shifted again.
    return ended(flow.sigma(torch.linspace(1000 * flow.sigma_max, 1000 * flow.table[0], steps) / 1000))


def sgm_uniform(flow: Flow, steps: int) -> Tensor:
    return ended(normal(flow, steps + 1)[:steps])


def ddim_uniform(flow: Flow, steps: int) -> Tensor:
    # The stride decides how many steps come out: six asked for are seven.
    return ended(flow.table[1 :: max(STEP_COUNT_TRAINED // steps, 1)].flip(0))


def karras(flow: Flow, steps: int) -> Tensor:
    root_max, root_min = flow.sigma_max ** (1 / 7), flow.sigma_min ** (1 / 7)
    return ended((root_max + torch.linspace(0, 1, steps) * (root_min - root_max)) ** 7)


def exponential(flow: Flow, steps: int) -> Tensor:
    return ended(torch.linspace(math.log(flow.sigma_max), math.log(flow.sigma_min), steps).exp())


def beta(flow: Flow, steps: int) -> Tensor:
    quantiles = scipy.stats.beta.ppf(1.0 - numpy.linspace(0, 1, steps, endpoint=False), 0.6, 0.6)
    indices = [int(index) for index in numpy.rint(quantiles * (STEP_COUNT_TRAINED - 1))]
    kept = [index for i, index in enumerate(indices) if i == 0 or index != indices[i - 1]]
    return ended(flow.table[kept])


def linear_quadratic(flow: Flow, steps: int) -> Tensor:
    # After genmoai's Mochi: the first half rises linearly to 0.025, the rest as a parabola to 1.
    if steps == 1:
        return torch.tensor([flow.sigma_max, 0.0])
    threshold, linear_steps = 0.025, steps // 2
    quadratic_steps, difference = steps - linear_steps, linear_steps - threshold * steps
    square = difference / (linear_steps * quadratic_steps**2)
    slope = threshold / linear_steps - 2 * difference / quadratic_steps**2
    done = [i * threshold / linear_steps for i in range(linear_steps)]
    done += [square * i**2 + slope * i + square * linear_steps**2 for i in range(linear_steps, steps)]
    return torch.tensor([1.0 - value for value in done + [1.0]]) * flow.sigma_max


def kl_optimal(flow: Flow, steps: int) -> Tensor:
    """Undefined for one step (0/0)."""
    share = torch.arange(steps, dtype=torch.float32) / (steps - 1)
    return ended((share * math.atan(flow.sigma_min) + (1 - share) * math.atan(flow.sigma_max)).tan())


def ended(sigmas: Tensor) -> Tensor:
    """With the final zero."""
    return torch.cat([sigmas, torch.zeros(1)])


SCHEDULES: dict[str, Callable[[Flow, int], Tensor]] = {
    schedule.__name__: schedule
    for schedule in (
        simple,
        sgm_uniform,
        karras,
        exponential,
        ddim_uniform,
        beta,
        normal,
        linear_quadratic,
        kl_optimal,
    )
}


def schedule(flow: Flow, name: str, steps: int) -> list[float]:
    """The noise levels of a whole run, last one 0; every value is an f32."""
    return SCHEDULES[name](flow, steps).tolist()


def run_sigmas(
    flow: Flow,
    scheduler: str,
    solver: str,
    steps: int,
    denoise: float = 1.0,
    start_step: int = 0,
    end_step: int | None = None,
    leftover_noise: bool = False,
) -> list[float]:
    """The noise levels that a sampling node passes to its solver; fewer than two mean: nothing to do.

    `denoise` < 1 keeps the last `steps` of int(steps / denoise); some solvers ask for one step more and
    skip the second-to-last level; an early end is forced to 0 unless leftover noise is wanted.
    """
    if denoise <= 0.0:
        return []
    asked = steps if denoise > 0.9999 else int(steps / denoise)
    if solver in PENULTIMATE_DISCARDED:
        sigmas = schedule(flow, scheduler, asked + 1)
        del sigmas[-2]
    else:
        sigmas = schedule(flow, scheduler, asked)
    if denoise <= 0.9999:
        sigmas = sigmas[-(steps + 1) :]
    if end_step is not None and end_step < len(sigmas) - 1:
        sigmas = sigmas[: end_step + 1]
        if not leftover_noise:
            sigmas[-1] = 0.0
    return sigmas[start_step:]
