"""Numbers of every solver from ComfyUI itself, on a formula instead of a network.

    python comfy_solvers.py --comfy FOLDER --out ../../crates/vita-sampling/tests/fixtures/comfy_solvers.json

FOLDER is a checkout of ComfyUI (0.8.0 was used), whose requirements are installed. Only its results are written.
Solvers that it does not have are left out and named at the end.
"""

import argparse
import json
import sys
from itertools import count
from pathlib import Path

MODEL = "clean(x, s) = (1-s)*0.49 / ((1-s)^2*0.49 + s^2) * x + 0.3*s*tanh(1.5*x + 0.5); uncond(x, s) = 0.9*clean(x, s) - 0.05*s*x + 0.02"
LATENT = "latent[i] = 0.5*sin(i), i counted from 0 over the flat latent; used where `latent` is true, else zeros"
SHAPE = [1, 2, 1, 3, 4]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--comfy", required=True)
    parser.add_argument("--lib", action="append", default=[], help="more folders of Python packages")
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args()
    sys.path[:0] = [args.comfy, *args.lib]
    sys.argv = ["comfy_solvers", "--cpu"]

    import comfy.options

    comfy.options.enable_args_parsing()
    import torch

    torch.set_num_threads(1)
    reference = Comfy()
    cases, missing = [], []
    for solver in reference.solvers:
        if not reference.has(solver):
            missing.append(solver)
            continue
        cases += [reference.run(**case) for case in settings(solver, 2000 + reference.solvers.index(solver))]
    lines = ",\n  ".join(json.dumps(case) for case in cases)
    head = json.dumps({"model": MODEL, "latent": LATENT, "torch": torch.__version__})[1:-1]
    args.out.write_text(f"{{{head},\n \"cases\": [\n  {lines}\n ]}}\n")
    print(f"{len(cases)} cases; not in this ComfyUI: {', '.join(missing) or 'none'}")


def settings(solver: str, seed: int):
    base = {"sampler": solver, "scheduler": "simple", "steps": 6, "shift": 8.0, "seed": seed}
    for scheduler in ["simple", "normal", "beta", "karras"]:
        yield base | {"scheduler": scheduler, "shift": 5.0}
    for steps in [2, 3, 4, 8, 11]:
        yield base | {"steps": steps}
    yield base | {"denoise": 0.5}
    yield base | {"end_step": 4}
    yield base | {"end_step": 4, "leftover_noise": True}
    yield base | {"start_step": 3, "add_noise": False}


class Comfy:
    def __init__(self) -> None:
        import comfy.k_diffusion.sampling as solvers
        import comfy.model_sampling as levels
        import comfy.samplers as samplers

        self.module, self.levels, self.samplers = solvers, levels, samplers
        self.solvers = list(samplers.KSampler.SAMPLERS)
        plain = solvers.default_noise_sampler
        # On a processor ComfyUI 0.8.0 draws a step's noise from the seed after the run's.
        solvers.default_noise_sampler = lambda x, seed=None: plain(x, None if seed is None else seed + 1)

    def has(self, solver: str) -> bool:
        special = {"uni_pc", "uni_pc_bh2", "ddim", "dpm_fast", "dpm_adaptive"}
        return solver in special or hasattr(self.module, f"sample_{solver}")

    def run(self, sampler, scheduler, steps, shift, seed, denoise=1.0, start_step=0, end_step=None, leftover_noise=False, add_noise=True):
        import torch

        class Flow(self.levels.ModelSamplingDiscreteFlow, self.levels.CONST):
            pass

        flow = Flow()
        flow.set_parameters(shift=shift, multiplier=1000)
        model = Model(flow)
        kept = denoise < 1.0 or start_step > 0
        flat = torch.arange(torch.Size(SHAPE).numel()).double()
        latent = (0.5 * flat.sin()).reshape(SHAPE).float() if kept else torch.zeros(SHAPE)
        noise = torch.randn(SHAPE, generator=torch.manual_seed(seed)) if add_noise else torch.zeros(SHAPE)
        driver = self.samplers.KSampler(model, steps, "cpu", sampler, scheduler, denoise)

        def sample(_, noise, positive, negative, cfg, device, solver, sigmas, options, latent_image=None, **rest):
            return solver.sample(model, sigmas, {"seed": seed}, None, noise, latent_image, None, True)

        self.samplers.sample = sample
        out = driver.sample(
            noise, None, None, 1.0, latent, start_step=start_step, last_step=end_step,
            force_full_denoise=not leftover_noise, seed=seed, disable_pbar=True,
        )
        told = {"sampler": sampler, "scheduler": scheduler, "steps": steps, "shift": shift, "seed": seed}
        defaults = {"denoise": 1.0, "start_step": 0, "end_step": None, "leftover_noise": False, "add_noise": True}
        given = {"denoise": denoise, "start_step": start_step, "end_step": end_step, "leftover_noise": leftover_noise, "add_noise": add_noise}
        told |= {name: value for name, value in given.items() if value != defaults[name]}
        return told | {"latent": kept, "model_calls": model.calls, "out": [float(f"{value:.9g}") for value in out.flatten().tolist()]}


class Model:
    """Stands for ComfyUI's guider and its model."""

    def __init__(self, flow) -> None:
        self.model_sampling, self.calls = flow, []
        self.inner_model = self.model_patcher = self

    def get_model_object(self, name):
        return self.model_sampling

    def __call__(self, x, sigma, denoise_mask=None, model_options=None, seed=None):
        import torch

        self.calls.append(float(f"{float(sigma.flatten()[0]):.9g}"))
        s = sigma.view(-1, *[1] * (x.ndim - 1))
        alpha = 1.0 - s
        clean = alpha * 0.49 / (alpha * alpha * 0.49 + s * s) * x + 0.3 * s * torch.tanh(1.5 * x + 0.5)
        uncond = 0.9 * clean - 0.05 * s * x + 0.02
        for function in (model_options or {}).get("sampler_post_cfg_function", []):
            clean = function({"denoised": clean, "uncond_denoised": uncond, "cond_denoised": clean})
        return clean


main()
