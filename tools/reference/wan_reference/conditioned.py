"""Sampling runs with more than a prompt: pictures, latents that are kept, two experts; as ComfyUI's nodes run them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from . import noise
from .sampling import Run, sample
from .solvers import Denoise

Tensor = torch.Tensor
Velocity = Callable[[Tensor, Tensor, Tensor], Tensor]


def with_picture(velocity: Callable[..., Tensor], mask: Tensor, known: Tensor, clip_fea: Tensor | None) -> Velocity:
    """Mask [1, 4, T, H, W] and known latents [1, 16, T, H, W] go in after the noisy latent's channels."""

    def forward(x: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        inputs = (torch.cat([x, mask, known], dim=1), timestep, context)
        return velocity(*inputs) if clip_fea is None else velocity(*inputs, clip_fea)

    return forward


def denoiser(velocity: Velocity, contexts: dict[str, Tensor], cfg: list[float]) -> Denoise:
    """Guidance; `cfg` has one number a step, the last of which goes on. One model call a step is assumed."""
    step = 0

    def denoise(x: Tensor, sigma: float) -> Tensor:
        nonlocal step
        now, step = cfg[min(step, len(cfg) - 1)], step + 1
        return guide(x, sigma, velocity, contexts, now, torch.tensor([1000.0 * sigma]))

    return denoise


def guide(x: Tensor, sigma: float, velocity: Velocity, contexts: dict[str, Tensor], cfg: float, timestep: Tensor):
    clean = x - sigma * velocity(x.float(), timestep, contexts["context"]).double()
    if cfg == 1.0:
        return clean
    negative = x - sigma * velocity(x.float(), timestep, contexts["context_negative"]).double()
    return negative + cfg * (clean - negative)


@dataclass
class Kept:
    """A latent [1, C, T, H, W] that is kept where mask [1, 1, T, H, W] is 0.

    With a timestep a frame the model sees it clean, at that share of the timestep which is made; without, with the
    noise of the run and the level's share of it.
    """

    latent: Tensor
    mask: Tensor
    frame_timesteps: bool

    def denoiser(self, run: Run, velocity: Velocity, contexts: dict[str, Tensor]) -> Denoise:
        start = self.latent.double()
        drawn = noise.initial_noise(run.seed, run.shape).double() if run.add_noise else torch.zeros(run.shape)

        def denoise(x: Tensor, sigma: float) -> Tensor:
            seen = start if self.frame_timesteps else sigma * drawn + (1.0 - sigma) * start
            x = self.mask * x + (1.0 - self.mask) * seen
            timestep = torch.tensor([1000.0 * sigma])
            if self.frame_timesteps:
                timestep = timestep[:, None] * self.mask.mean(dim=(1, 3, 4)).float()
            clean = guide(x, sigma, velocity, contexts, run.cfg, timestep)
            return self.mask * clean + (1.0 - self.mask) * start

        return denoise


def sample_experts(run: Run, switch: int, high: Denoise, low: Denoise) -> Tensor:
    """Two `KSamplerAdvanced`: the first leaves its noise in, the second adds none."""
    half = sample(replace(run, end_step=switch, leftover_noise=True), high)
    return sample(replace(run, start_step=switch, add_noise=False), low, half)
