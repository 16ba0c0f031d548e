"""Numbers of the Wan wrapper's schedulers, on a formula instead of a network.

    python wrapper_solvers.py --solvers FOLDER --out ../../crates/vita-sampling/tests/fixtures/wrapper_solvers.json

FOLDER holds `fm_solvers.py` and `fm_solvers_unipc.py` of the Wan repository (the wrapper has the same files), and the
wrapper's `ersde_scheduler.py`, `fm_sa_ode.py`, `fm_rcm.py` and `vitb_unipc.py`; the other schedulers are those of
diffusers, which the wrapper uses. Only results are written.
"""

import argparse
import json
import sys
from pathlib import Path

import diffusers
import torch

MODEL = "clean(x, s) = (1-s)*0.49 / ((1-s)^2*0.49 + s^2) * x + 0.3*s*tanh(1.5*x + 0.5); velocity = (x - clean) / s; s is the level of the step"
SHAPE = [1, 2, 1, 3, 4]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--solvers", required=True)
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args()
    sys.path.insert(0, args.solvers)
    torch.set_num_threads(1)
    cases = [run(name, steps, shift, 3000 + i) for i, name in enumerate(makers()) for steps, shift in [(1, 5.0), (2, 5.0), (3, 3.0), (6, 5.0), (10, 8.0), (16, 5.0)]]
    lines = ",\n  ".join(json.dumps(case) for case in cases)
    head = json.dumps({"model": MODEL, "torch": torch.__version__, "diffusers": diffusers.__version__})[1:-1]
    args.out.write_text(f"{{{head},\n \"cases\": [\n  {lines}\n ]}}\n")
    print(f"{len(cases)} cases")


def makers():
    from ersde_scheduler import ERSDEScheduler
    from fm_rcm import rCMFlowMatchScheduler
    from fm_sa_ode import FlowMatchSAODEStableScheduler
    from fm_solvers import FlowDPMSolverMultistepScheduler
    from fm_solvers_unipc import FlowUniPCMultistepScheduler
    from vitb_unipc import ViBTScheduler

    def unipc(steps, shift):
        scheduler = FlowUniPCMultistepScheduler(shift=shift)
        scheduler.set_timesteps(steps, shift=shift)
        return scheduler

    def dpmpp(kind):
        def make(steps, shift):
            scheduler = FlowDPMSolverMultistepScheduler(shift=shift, algorithm_type=kind)
            scheduler.set_timesteps(steps)
            return scheduler
        return make

    def flow(kind, **options):
        def make(steps, shift):
            scheduler = kind(shift=shift, **options)
            scheduler.set_timesteps(steps)
            return scheduler
        return make

    def deis(steps, shift):
        scheduler = diffusers.DEISMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=shift)
        scheduler.set_timesteps(steps)
        scheduler.sigmas[-1] = 1e-6
        return scheduler

    def rcm(steps, shift):
        return rCMFlowMatchScheduler(steps)

    def vibt(steps, shift):
        scheduler = ViBTScheduler()
        scheduler.set_parameters(shift=shift)
        scheduler.set_timesteps(steps)
        return scheduler

    euler, lcm = diffusers.FlowMatchEulerDiscreteScheduler, diffusers.FlowMatchLCMScheduler
    return {
        "unipc": unipc,
        "dpm++": dpmpp("dpmsolver++"),
        "dpm++_sde": dpmpp("sde-dpmsolver++"),
        "euler": flow(euler),
        "euler/beta": flow(euler, use_beta_sigmas=True),
        "deis": deis,
        "lcm": flow(lcm),
        "lcm/beta": flow(lcm, use_beta_sigmas=True),
        "er_sde": flow(ERSDEScheduler),
        "sa_ode_stable": flow(FlowMatchSAODEStableScheduler),
        "rcm": rcm,
        "vibt_unipc": vibt,
    }


def run(name: str, steps: int, shift: float, seed: int) -> dict:
    scheduler = makers()[name](steps, shift)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(SHAPE, generator=generator)
    with_noise = name.startswith(("dpm++_sde", "lcm", "er_sde", "rcm", "vibt"))
    levels, timesteps = scheduler.sigmas, scheduler.timesteps
    if name == "rcm":
        # What the wrapper shows the model in place of an angle and of the latent at it.
        levels = levels.sin() / (levels.sin() + levels.cos())
        timesteps = levels[:-1] * 1000
    for index, timestep in enumerate(scheduler.timesteps):
        s = float(levels[index])
        alpha = 1.0 - s
        seen = x / (timestep.sin() + timestep.cos()) if name == "rcm" else x
        clean = alpha * 0.49 / (alpha * alpha * 0.49 + s * s) * seen + 0.3 * s * torch.tanh(1.5 * seen + 0.5)
        extra = {"generator": generator} if with_noise else {}
        extra |= {} if name in ("er_sde", "rcm", "vibt_unipc") else {"return_dict": False}
        x = scheduler.step((seen - clean) / s, timestep, x, **extra)
        x = x[0] if isinstance(x, tuple) else x
    nine = lambda values: [float(f"{float(value):.9g}") for value in values]
    return {
        "scheduler": name, "steps": steps, "shift": shift, "seed": seed, "sigmas": nine(levels),
        "timesteps": nine(timesteps), "out": nine(x.flatten()),
    }


main()
