"""Sampling runs of ComfyUI itself in context windows, on the transformers with random weights of `vita-models`.

    python comfy_window_runs.py --comfy FOLDER --out ../../crates/vita-pipeline/tests/fixtures/comfy_window_runs.safetensors

FOLDER is a checkout of ComfyUI (0.8.0 was used), whose requirements are installed. Only what it was given and gave is
written.
"""

import argparse
import json
import sys
from pathlib import Path

WEIGHTS = Path(__file__).resolve().parents[2] / "crates/vita-models/tests/fixtures"
SIZE = (9, 4, 6)
STEPS, CFG, SHIFT = 3, 3.0, 8.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--comfy", required=True)
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args()
    sys.path[:0] = [args.comfy]
    sys.argv = ["comfy_window_runs", "--cpu"]

    import comfy.options

    comfy.options.enable_args_parsing()
    import torch
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(77)
    kept = {
        "rows": torch.randn(1, 5, 64, generator=draw),
        "negative_rows": torch.randn(1, 3, 64, generator=draw),
        "known": torch.randn(1, 16, *SIZE, generator=draw),
    }
    settings = {}
    for index, case in enumerate(cases()):
        name = f"case{index}"
        settings[name] = case
        kept[f"{name}.out"] = run(case, kept)
    kept = {name: tensor[0].float().contiguous() for name, tensor in kept.items()}
    told = {"steps": STEPS, "cfg": CFG, "shift": SHIFT, "torch": torch.__version__, "cases": settings}
    save_file(kept, args.out, {"runs": json.dumps(told)})
    print({name: [round(float(tensor.std()), 4), list(tensor.shape)] for name, tensor in kept.items()})


def cases():
    base = {"weights": "dit_t2v", "sampler": "euler", "seed": 11, "length": 17, "overlap": 5, "stride": 1, "loop": False, "freenoise": False}
    yield base | {"schedule": "standard_static", "mix": "pyramid"}
    yield base | {"schedule": "standard_uniform", "mix": "relative", "freenoise": True}
    yield base | {"schedule": "looped_uniform", "mix": "flat", "loop": True, "length": 13}
    yield base | {"schedule": "batched", "mix": "flat", "overlap": 0}
    yield base | {"schedule": "standard_uniform", "mix": "overlap-linear", "sampler": "heun", "overlap": 9}
    yield base | {"weights": "dit_i2v_36_channels", "schedule": "standard_static", "mix": "pyramid", "seed": 12}


def run(case: dict, kept: dict):
    import comfy.sample
    import torch
    from comfy_extras.nodes_context_windows import WanContextWindowsManualNode

    model = load(case["weights"])
    model = WanContextWindowsManualNode.execute(
        model, case["length"], case["overlap"], case["schedule"], case["stride"], case["loop"], case["mix"], case["freenoise"],
    ).result[0]
    known = {}
    if case["weights"] == "dit_i2v_36_channels":
        mask = torch.ones(1, 1, *SIZE)
        mask[:, :, :1] = 0.0
        known = {"concat_latent_image": kept["known"], "concat_mask": mask}
    padded = {name: torch.nn.functional.pad(kept[name], (0, 0, 0, 512 - kept[name].shape[1])) for name in ("rows", "negative_rows")}
    positive, negative = ([[padded[name], dict(known)]] for name in ("rows", "negative_rows"))
    noise = torch.randn(1, 16, *SIZE, generator=torch.manual_seed(case["seed"]))
    with torch.no_grad():
        return comfy.sample.sample(
            model, noise, STEPS, CFG, case["sampler"], "simple", positive, negative, torch.zeros_like(noise),
            seed=case["seed"], disable_pbar=True,
        )


def load(name: str):
    import torch
    from comfy import model_detection, model_patcher
    from safetensors.torch import load_file

    weights = load_file(WEIGHTS / f"{name}.safetensors")
    weights = {key[2:]: tensor.float() for key, tensor in weights.items() if key.startswith("w.")}
    config = model_detection.model_config_from_unet(weights, "")
    config.unet_config["text_dim"] = weights["text_embedding.0.weight"].shape[1]
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model(weights, "")
    model.load_model_weights(weights, "")
    model.eval()
    return model_patcher.ModelPatcher(model, load_device=torch.device("cpu"), offload_device=torch.device("cpu"))


main()
