"""Numbers of context windows from ComfyUI itself and from the Wan wrapper, on a formula instead of a network.

    python context_windows.py --comfy FOLDER --wrapper FOLDER \
        --out ../../crates/vita-pipeline/tests/fixtures/context_windows.json

The first FOLDER is a checkout of ComfyUI (0.8.0 was used), whose requirements are installed; the second holds
`context.py` of the wrapper. Only their results are written. The wrapper adds windows up inside its sampler; that sum, and
its order of the noise, are written here from the rule.
"""

import argparse
import json
import math
import sys
from pathlib import Path

ANSWER = "answer(x)[i] = sin(3 x[i]) * (1 + 0.1 i) + 0.05 x[(i + 1) mod n] for the n frames of a window"
LATENT = "x[t] = cos(t); where windows are uniform the step is that of the case"
NOISE = "noise[t] = t, [1, frames, 1, 1], before it is shuffled"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--comfy", required=True)
    parser.add_argument("--wrapper", required=True)
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args()
    sys.path[:0] = [args.comfy, args.wrapper]
    sys.argv = ["context_windows", "--cpu"]

    import comfy.options

    comfy.options.enable_args_parsing()
    import torch

    torch.set_num_threads(1)
    cases = [run(case) for case in settings()]
    noises = [noise(*case) for case in [(33, 21, 8, 5), (30, 9, 2, 7), (12, 5, 4, 11), (10, 10, 3, 1), (21, 8, 0, 3)]]
    text = ",\n  ".join(json.dumps(case) for case in cases)
    noise_text = ",\n  ".join(json.dumps(case) for case in noises)
    head = json.dumps({"answer": ANSWER, "latent": LATENT, "noise": NOISE, "torch": torch.__version__})[1:-1]
    args.out.write_text(f"{{{head},\n \"cases\": [\n  {text}\n ],\n \"noises\": [\n  {noise_text}\n ]}}\n")
    left_out = sum(case["windows"] is None for case in cases)
    print(f"{len(cases)} cases, of which the originals refuse {left_out}")


def settings():
    sizes = [(33, 21, 8, 1), (21, 9, 4, 1), (14, 5, 2, 2), (30, 7, 3, 3), (10, 6, 2, 2), (9, 8, 7, 1)]
    for frames, window, overlap, stride in sizes:
        base = {"frames": frames, "window": window, "overlap": overlap, "stride": stride, "closed": False}
        for schedule in ["standard_static", "batched"]:
            for mix in ["pyramid", "relative", "flat", "overlap-linear"]:
                if not (mix == "overlap-linear" and schedule == "batched"):
                    yield base | {"of": "comfy", "schedule": schedule, "mix": mix, "step": 0}
        for schedule in ["standard_uniform", "looped_uniform"]:
            for step, mix in enumerate(["pyramid", "relative", "flat", "overlap-linear"]):
                # Where 1e-37 is all that a frame is weighed with, what is small becomes 0 in PyTorch's f32.
                if mix == "overlap-linear" and stride > 1:
                    continue
                closed = schedule == "looped_uniform" and step % 2 == 1
                yield base | {"of": "comfy", "schedule": schedule, "mix": mix, "step": step, "closed": closed}
        for schedule in ["uniform_standard", "uniform_looped", "static_standard"]:
            for step, mix in [(0, "linear"), (1, "linear"), (6, "linear"), (0, "pyramid"), (5, "pyramid")]:
                yield base | {"of": "wrapper", "schedule": schedule, "mix": mix, "step": step, "closed": True}


def run(case: dict) -> dict:
    import torch

    x = torch.arange(case["frames"]).double().cos().float().reshape(1, 1, -1, 1, 1)
    try:
        windows, out = (comfy if case["of"] == "comfy" else wrapper)(case, x)
    except (IndexError, ValueError):
        windows = out = None
    if windows is not None and not all(math.isfinite(value) for value in out):
        out = None
    return case | {"windows": windows, "out": out}


def comfy(case: dict, x):
    import torch
    from comfy import context_windows

    handler = context_windows.IndexListContextHandler(
        context_schedule=context_windows.get_matching_context_schedule(case["schedule"]),
        fuse_method=context_windows.get_matching_fuse_method(case["mix"]),
        context_length=case["window"], context_overlap=case["overlap"], context_stride=case["stride"],
        closed_loop=case["closed"], dim=2,
    )
    sigmas = torch.linspace(1.0, 0.1, case["step"] + 2)
    options = {"transformer_options": {"sample_sigmas": sigmas}}
    windows = []

    def answers(model, conds, x, timestep, options):
        windows.append(list(options["transformer_options"]["context_window"].index_list))
        return [answer(x)]

    out = handler.execute(answers, None, [[]], x, sigmas[case["step"]].reshape(1), options)[0]
    return windows, nine(out)


def wrapper(case: dict, x):
    import torch
    from context import create_window_mask, get_context_scheduler

    frames, window, overlap = case["frames"], case["window"], case["overlap"]
    windows = list(get_context_scheduler(case["schedule"])(case["step"], 10, frames, window, case["stride"], overlap))
    x = x[0]
    total, count = torch.zeros_like(x), torch.zeros_like(x)
    for list_ in windows:
        if not all(0 <= index < frames for index in list_):
            raise ValueError("a window lies outside")
        part = answer(x[None, :, list_])[0]
        weight = create_window_mask(part, list_, frames, overlap, case["schedule"] == "uniform_looped", case["mix"])
        total[:, list_] += part * weight
        count[:, list_] += weight
    return [[int(index) for index in list_] for list_ in windows], nine(total / count)


def answer(x):
    import torch

    place = torch.arange(x.shape[2]).reshape(1, 1, -1, 1, 1)
    return (3 * x).sin() * (1 + 0.1 * place) + 0.05 * x.roll(-1, 2)


def noise(frames: int, window: int, overlap: int, seed: int) -> dict:
    """ComfyUI shuffles by a generator of its own; the wrapper by the one that has drawn the noise, by the same rule."""
    import torch
    from comfy import context_windows

    plain = torch.arange(frames).float().reshape(1, 1, -1, 1, 1)
    shuffled = context_windows.apply_freenoise(plain, 2, window, overlap, seed)
    order = [int(value) for value in shuffled.flatten()]
    return {"frames": frames, "window": window, "overlap": overlap, "seed": seed, "order": order}


def nine(values) -> list:
    return [float(f"{float(value):.9g}") for value in values.flatten()]


main()
