"""The solvers, in f64, from the formulas of their papers in ComfyUI's flow-matching dialect.

Each takes `denoise(x, sigma) -> clean estimate`, the start `x`, descending sigmas, and a source of step noise.
Names: s and s_next are sigmas; lam = ln((1 - s) / s) is half the log signal-to-noise ratio of a flow model.
"""

import math
from collections.abc import Callable

import numpy
import torch

from .noise import StepNoise

Tensor = torch.Tensor
Denoise = Callable[[Tensor, float], Tensor]

# `uni_pc` cannot end at zero noise: a final 0 becomes this.
UNI_PC_SIGMA_LAST = 0.001


def euler(denoise: Denoise, x: Tensor, sigmas: list[float], noise: StepNoise) -> Tensor:
    for s, s_next in pairs(sigmas):
        x = x + (x - denoise(x, s)) / s * (s_next - s)
    return x


def euler_ancestral(denoise: Denoise, x: Tensor, sigmas: list[float], noise: StepNoise) -> Tensor:
    for s, s_next in pairs(sigmas):
        clean = denoise(x, s)
        if s_next == 0.0:
            return clean
        s_down = s_next * s_next / s  # eta 1: step further down, then add noise up to s_next
        keep, alpha_next, alpha_down = s_down / s, 1.0 - s_next, 1.0 - s_down
        renoise = math.sqrt(s_next**2 - (s_down * alpha_next / alpha_down) ** 2)
        x = keep * x + (1.0 - keep) * clean
        x = alpha_next / alpha_down * x + renoise * noise(s, s_next)
    return x


def heun(denoise: Denoise, x: Tensor, sigmas: list[float], noise: StepNoise) -> Tensor:
    for s, s_next in pairs(sigmas):
        slope = (x - denoise(x, s)) / s
        if s_next > 0.0:
            ahead = x + slope * (s_next - s)
            slope = (slope + (ahead - denoise(ahead, s_next)) / s_next) / 2.0
        x = x + slope * (s_next - s)
    return x


def dpm_2(denoise: Denoise, x: Tensor, sigmas: list[float], noise: StepNoise) -> Tensor:
    for s, s_next in pairs(sigmas):
        slope = (x - denoise(x, s)) / s
        if s_next > 0.0:
            s_middle = math.sqrt(s * s_next)
            middle = x + slope * (s_middle - s)
            slope = (middle - denoise(middle, s_middle)) / s_middle
        x = x + slope * (s_next - s)
    return x


def lcm(denoise: Denoise, x: Tensor, sigmas: list[float], noise: StepNoise) -> Tensor:
    for s, s_next in pairs(sigmas):
        x = denoise(x, s)
        if s_next > 0.0:
            x = s_next * noise(s, s_next) + (1.0 - s_next) * x
    return x


def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: list[float], noise: StepNoise) -> Tensor:
    # Works in t = -ln s even for flow models.
    clean_before, h_before = None, None
    for s, s_next in pairs(sigmas):
        clean = denoise(x, s)
        if s_next == 0.0:
            return clean
        h = math.log(s / s_next)
        target = clean
        if clean_before is not None:
            target = clean + (clean - clean_before) * h / (2.0 * h_before)
        x = s_next / s * x - math.expm1(-h) * target
        clean_before, h_before = clean, h
    return x


def res_multistep(denoise: Denoise, x: Tensor, sigmas: list[float], noise: StepNoise) -> Tensor:
    # Second-order exponential multistep, https://arxiv.org/abs/2308.02157
    clean_before, s_before = None, None
    for s, s_next in pairs(sigmas):
        clean = denoise(x, s)
        if s_next == 0.0 or clean_before is None:
            x = x + (x - clean) / s * (s_next - s)
        else:
            h = math.log(s / s_next)
            phi1 = math.expm1(-h) / -h
            phi2 = (phi1 - 1.0) / -h
            c2 = math.log(s / s_before) / h
            x = math.exp(-h) * x + h * ((phi1 - phi2 / c2) * clean + phi2 / c2 * clean_before)
        clean_before, s_before = clean, s
    return x


def deis(denoise: Denoise, x: Tensor, sigmas: list[float], noise: StepNoise) -> Tensor:
    """Third-order Adams-Bashforth in the time of a variance-preserving process, https://arxiv.org/abs/2204.13902"""
    slopes: list[Tensor] = []
    for i, (s, s_next) in enumerate(pairs(sigmas)):
        slopes.append((x - denoise(x, s)) / s)
        order = min(3, i + 1)
        if s_next == 0.0 or order == 1:
            x = x + slopes[-1] * (s_next - s)
        else:
            knots = [vp_time(sigmas[i - k]) for k in range(order)]
            for weight, slope in zip(deis_weights(knots, vp_time(s_next)), reversed(slopes)):
                x = x + weight * slope
    return x


# The process runs from sigma 0.002 at time 0.001 to sigma 80 at time 1.
_LOG_MIN, _LOG_MAX, _TIME_MIN = math.log(0.002**2 + 1.0), math.log(80.0**2 + 1.0), 1e-3
BETA_SLOPE = 2.0 * (_LOG_MIN / _TIME_MIN - _LOG_MAX) / (_TIME_MIN - 1.0)
BETA_START = _LOG_MAX - 0.5 * BETA_SLOPE


def vp_time(s: float) -> float:
    return (math.sqrt(BETA_START**2 + 2.0 * BETA_SLOPE * math.log(s * s + 1.0)) - BETA_START) / BETA_SLOPE


def deis_weights(knots: list[float], end: float) -> list[float]:
    """Integrals of the Lagrange polynomials on `knots` (newest first), from the newest knot to `end`.

    A sum over 10 000 points spaced (end - knot) / 9999 apart, but weighted (end - knot) / 10 000: the sum is
    part of the definition, an exact integral differs in the fourth digit.
    """
    taus = numpy.linspace(knots[0], end, 10_000)
    log_alpha = -0.5 * taus**2 * BETA_SLOPE - taus * BETA_START
    alpha = numpy.exp(log_alpha)
    integrand = 0.5 * (taus * BETA_SLOPE + BETA_START) / numpy.sqrt(alpha * (1.0 - alpha))
    weights = []
    for j, knot in enumerate(knots):
        polynomial = numpy.prod([(taus - other) / (knot - other) for k, other in enumerate(knots) if k != j], axis=0)
        weights.append(float(numpy.sum(integrand * polynomial)) * (end - knots[0]) / 10_000)
    return weights


def dpmpp_2m_sde(denoise: Denoise, x: Tensor, sigmas: list[float], noise: StepNoise) -> Tensor:
    # The midpoint variant, eta 1.
    clean_before, h_before = None, None
    for s, s_next in pairs(sigmas):
        clean = denoise(x, s)
        if s_next == 0.0:
            return clean
        h = half_log_snr(s_next) - half_log_snr(s)
        gain = (1.0 - s_next) * -math.expm1(-2.0 * h)
        x = s_next / s * math.exp(-h) * x + gain * clean
        if clean_before is not None:
            x = x + 0.5 * gain * h / h_before * (clean - clean_before)
        x = x + s_next * math.sqrt(-math.expm1(-2.0 * h)) * noise(s, s_next)
        clean_before, h_before = clean, h
    return x


def dpmpp_sde(denoise: Denoise, x: Tensor, sigmas: list[float], noise: StepNoise) -> Tensor:
    # r = 1/2, eta 1: the second stage uses only the estimate at the middle.
    for s, s_next in pairs(sigmas):
        clean = denoise(x, s)
        if s_next == 0.0:
            return clean
        s_middle = sigma_middle(s, s_next)
        middle = stochastic_step(x, clean, s, s_middle, noise)
        x = stochastic_step(x, denoise(middle, s_middle), s, s_next, noise)
    return x


def sigma_middle(s: float, s_next: float) -> float:
    """Halfway between two sigmas in half log SNR."""
    return 1.0 / (1.0 + math.exp((half_log_snr(s) + half_log_snr(s_next)) / 2.0))


def stochastic_step(x: Tensor, clean: Tensor, s: float, s_next: float, noise: StepNoise) -> Tensor:
    """First-order step of the SDE solver: down to an ancestral level below s_next, then noise up to it."""
    ratio, ratio_next = s / (1.0 - s), s_next / (1.0 - s_next)  # noise to signal
    up = min(ratio_next, math.sqrt(ratio_next**2 * (ratio**2 - ratio_next**2) / ratio**2))
    decay = math.sqrt(ratio_next**2 - up**2) / ratio
    alpha_next = 1.0 - s_next
    return alpha_next / (1.0 - s) * decay * x + alpha_next * (1.0 - decay) * clean + alpha_next * up * noise(s, s_next)


def half_log_snr(s: float) -> float:
    return math.log((1.0 - s) / s)


def uni_pc(denoise: Denoise, x: Tensor, sigmas: list[float], noise: StepNoise) -> Tensor:
    return _uni_pc(denoise, x, sigmas, residual_scale=lambda hh: hh)


def uni_pc_bh2(denoise: Denoise, x: Tensor, sigmas: list[float], noise: StepNoise) -> Tensor:
    return _uni_pc(denoise, x, sigmas, residual_scale=math.expm1)


def _uni_pc(denoise: Denoise, x: Tensor, sigmas: list[float], residual_scale: Callable[[float], float]) -> Tensor:
    """Predictor-corrector, https://arxiv.org/abs/2302.04867, data prediction, one model call a step.

    Runs in the variance-preserving frame z = alpha * x, alpha = 1/sqrt(1 + s^2), lam = -ln s.
    """
    step_count = len(sigmas) - 1
    order_max = min(3, step_count - 1)
    z = x * vp_alpha(sigmas[0])
    levels, cleans = [sigmas[0]], [denoise(x, sigmas[0])]
    for step in range(1, step_count + 1 if order_max > 0 else 1):
        order = step if step < order_max else min(order_max, step_count + 1 - step)
        s = sigmas[step]
        update = _UniPcStep(z, levels, cleans, s, order, residual_scale)
        z = update.predict()
        if step < step_count:
            clean = denoise(z / vp_alpha(s), s)
            z = update.correct(clean)
            levels.append(s)
            cleans.append(clean)
    return z / vp_alpha(sigmas[-1])


def vp_alpha(s: float) -> float:
    return 1.0 / math.sqrt(1.0 + s * s)


class _UniPcStep:
    """From the newest level to `s`, with `order` - 1 older estimates."""

    def __init__(self, z: Tensor, levels: list[float], cleans: list[Tensor], s: float, order: int, residual_scale):
        h = math.log(levels[-1] / s)
        self.order, self.newest = order, cleans[-1]
        ratios = [math.log(levels[-1] / levels[-1 - k]) / h for k in range(1, order)]
        self.differences = [(cleans[-1 - k] - cleans[-1]) / ratio for k, ratio in enumerate(ratios, start=1)]
        self.base = s * vp_alpha(s) / (levels[-1] * vp_alpha(levels[-1])) * z
        self.base = self.base - vp_alpha(s) * math.expm1(-h) * cleans[-1]
        self.scale = vp_alpha(s) * residual_scale(-h)
        self.matrix = numpy.array([[ratio**i for ratio in [*ratios, 1.0]] for i in range(order)])
        self.right = self._right_side(-h, residual_scale(-h))

    def _right_side(self, hh: float, scale: float) -> numpy.ndarray:
        phi, factorial, values = math.expm1(hh) / hh - 1.0, 1, []
        for i in range(1, self.order + 1):
            values.append(phi * factorial / scale)
            factorial *= i + 1
            phi = phi / hh - 1.0 / factorial
        return numpy.array(values)

    def predict(self) -> Tensor:
        if self.order == 1:
            return self.base
        weights = [0.5] if self.order == 2 else numpy.linalg.solve(self.matrix[:-1, :-1], self.right[:-1])
        return self.base - self.scale * sum(w * d for w, d in zip(weights, self.differences))

    def correct(self, clean: Tensor) -> Tensor:
        weights = [0.5] if self.order == 1 else numpy.linalg.solve(self.matrix, self.right)
        differences = [*self.differences, clean - self.newest]
        return self.base - self.scale * sum(w * d for w, d in zip(weights, differences))


def pairs(sigmas: list[float]) -> list[tuple[float, float]]:
    return list(zip(sigmas, sigmas[1:]))


SOLVERS: dict[str, Callable[[Denoise, Tensor, list[float], StepNoise], Tensor]] = {
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "heun": heun,
    "dpm_2": dpm_2,
    "dpmpp_2m": dpmpp_2m,
    "dpmpp_2m_sde": dpmpp_2m_sde,
    "dpmpp_sde": dpmpp_sde,
    "uni_pc": uni_pc,
    "uni_pc_bh2": uni_pc_bh2,
    "lcm": lcm,
    "res_multistep": res_multistep,
    "ddim": euler,  # with flow matching the two are the same
    "deis": deis,
}
BROWNIAN = ("dpmpp_2m_sde", "dpmpp_sde")
