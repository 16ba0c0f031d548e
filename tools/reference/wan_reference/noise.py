"""Noise of a run: the initial latent, and what stochastic solvers add at each step. All on torch's CPU generator."""

from collections.abc import Callable

import torch
import torchsde

# (sigma, next sigma) -> noise of variance one
StepNoise = Callable[[float, float], torch.Tensor]


def initial_noise(seed: int, shape: list[int]) -> torch.Tensor:
    """f32 noise of a whole latent."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def independent_noise(seed: int, shape: list[int]) -> StepNoise:
    """New noise a step from a generator seeded with seed + 1 (with `seed` it would repeat the initial noise)."""
    generator = torch.Generator().manual_seed(seed + 1)
    return lambda sigma, sigma_next: torch.randn(shape, generator=generator)


def brownian_noise(seed: int, shape: list[int], sigmas: list[float]) -> StepNoise:
    """Increments of one Brownian path over the schedule, so that the noise depends little on the step count."""
    start, end = torch.tensor(min(sigma for sigma in sigmas if sigma > 0.0)), torch.tensor(max(sigmas))
    tree = torchsde.BrownianTree(start, torch.zeros(shape), end, entropy=seed)

    def increment(sigma: float, sigma_next: float) -> torch.Tensor:
        low, high = sorted((sigma, sigma_next))
        path = tree(torch.tensor(low, dtype=torch.float32), torch.tensor(high, dtype=torch.float32))
        sign = 1.0 if sigma < sigma_next else -1.0
        return sign * path / abs(sigma_next - sigma) ** 0.5

    return increment
