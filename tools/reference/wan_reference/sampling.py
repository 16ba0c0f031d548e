"""A whole sampling run: noise, latent and schedule in, final latent out."""

from dataclasses import dataclass

import torch

from . import noise, solvers
from .sigmas import Flow, run_sigmas
from .solvers import Denoise


@dataclass
class Run:
    """What a sampling node is told. Latents are in the model's normalised space throughout."""

    seed: int
    shape: list[int]
    steps: int
    shift: float
    sampler: str
    scheduler: str
    cfg: float = 1.0
    denoise: float = 1.0
    start_step: int = 0
    end_step: int | None = None
    leftover_noise: bool = False
    add_noise: bool = True

    def sigmas(self) -> list[float]:
        flow = Flow(self.shift)
        return run_sigmas(
            flow,
            self.scheduler,
            self.sampler,
            self.steps,
            self.denoise,
            self.start_step,
            self.end_step,
            self.leftover_noise,
        )


def sample(run: Run, denoise: Denoise, latent: torch.Tensor | None = None) -> torch.Tensor:
    """The final latent, f64. `latent` (zeros if absent) is what the noise is mixed into."""
    latent = torch.zeros(run.shape) if latent is None else latent
    sigmas = run.sigmas()
    if len(sigmas) < 2:
        return latent.double()
    start = noise.initial_noise(run.seed, run.shape) if run.add_noise else torch.zeros(run.shape)
    x = sigmas[0] * start.double() + (1.0 - sigmas[0]) * latent.double()

    if run.sampler in solvers.BROWNIAN:
        step_noise = noise.brownian_noise(run.seed, run.shape, sigmas)
        if sigmas[0] >= 1.0:
            # No signal at all has no log SNR: begin just below. Rounding to f32 moves 1 - sigma by up to a percent.
            first = torch.tensor(Flow(run.shift).sigma_at_percent(1e-4)).item()
            sigmas = [first, *sigmas[1:]]
    else:
        step_noise = noise.independent_noise(run.seed, run.shape)
    if run.sampler.startswith("uni_pc") and sigmas[-1] == 0.0:
        # The replaced end also enters the division below, as in ComfyUI.
        sigmas = [*sigmas[:-1], solvers.UNI_PC_SIGMA_LAST]

    x = solvers.SOLVERS[run.sampler](denoise, x, sigmas, step_noise)
    return x / (1.0 - sigmas[-1])


def guided(velocity, context: torch.Tensor, context_negative: torch.Tensor, cfg: float) -> Denoise:
    """Classifier-free guidance over `velocity(x, timestep, context)`; one call a step when cfg is 1."""

    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        timestep = torch.tensor([1000.0 * sigma], dtype=torch.float32)
        clean = x - sigma * velocity(x.float(), timestep, context).double()
        if cfg == 1.0:
            return clean
        negative = x - sigma * velocity(x.float(), timestep, context_negative).double()
        return negative + cfg * (clean - negative)

    return denoise
