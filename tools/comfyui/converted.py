#!/usr/bin/env python3
"""Opens what `vitascope convert` writes in ComfyUI itself, and holds one forward pass there to `vitascope probe dit`.

    converted.py VITASCOPE COMFYUI      # the program, and the folder of ComfyUI's source

Makes small transformers of random weights with ComfyUI's own classes, with and without an image branch, converts them to
each kind of numbers that ComfyUI reads, and prints a line a file: the relative error of our answer against ComfyUI's for
that file, and what the numbers lost, as ComfyUI sees it. Ends with 1 if an answer is further off than ERROR_MAX.
"""

import argparse
import os
import subprocess
import sys
import tempfile

KINDS = {"t2v": 16, "i2v": 36}
NUMBERS = ["fp8_scaled", "fp8_e4m3fn", "bf16"]
ERROR_MAX = 1e-5
TEXT, VISION = 4096, 1280


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("comfyui")
    args = parser.parse_args()
    sys.path.insert(0, args.comfyui)
    sys.argv = [sys.argv[0], "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    import torch

    torch.manual_seed(7)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for kind, channels in KINDS.items():
            original = os.path.join(folder, f"{kind}-f16.safetensors")
            make(kind, channels, original)
            files = [original] + [convert(args.binary, original, numbers) for numbers in NUMBERS]
            inputs = make_inputs(kind, channels)
            first = None
            for path in files:
                theirs, ours = in_comfyui(path, inputs), in_vitascope(args.binary, path, inputs, folder)
                first = theirs if first is None else first
                error, lost = relative(ours, theirs), relative(theirs, first)
                wrong += not error <= ERROR_MAX
                print(f"{os.path.basename(path):<28} ours against ComfyUI's {error:.1e}, ComfyUI's against f16 {lost:.1e}")
    return 1 if wrong else 0


def make(kind, channels, path):
    import torch
    import comfy.ops
    from comfy.ldm.wan.model import WanModel
    from safetensors.torch import save_file

    net = WanModel(model_type=kind, dim=256, ffn_dim=512, num_heads=2, num_layers=2, text_dim=TEXT, in_dim=channels,
                   out_dim=16, operations=comfy.ops.manual_cast, dtype=torch.float32, device="cpu")

    def weight(name, like):
        noise = torch.randn_like(like) * (0.03 if like.dim() > 1 else 0.1)
        return (noise + (1 if "norm" in name and name.endswith("weight") else 0)).half()

    save_file({name: weight(name, like) for name, like in net.state_dict().items()}, path)


def convert(binary, path, numbers):
    out = path.replace("f16", numbers)
    subprocess.run([binary, "convert", path, out, "--dtype", numbers], check=True, capture_output=True)
    return out


def make_inputs(kind, channels):
    import torch

    inputs = {"x": torch.randn(1, channels, 3, 8, 10), "timestep": torch.tensor([637.0]),
              "context": torch.randn(1, 11, TEXT)}
    return inputs | ({"clip_fea": torch.randn(1, 257, VISION)} if kind == "i2v" else {})


def in_comfyui(path, inputs):
    import torch
    import comfy.model_management
    import comfy.sd

    patcher = comfy.sd.load_diffusion_model(path)
    patcher.model.manual_cast_dtype = torch.float32
    comfy.model_management.load_models_gpu([patcher])
    rest = {name: value for name, value in inputs.items() if name == "clip_fea"}
    with torch.no_grad():
        return patcher.model.diffusion_model(inputs["x"], inputs["timestep"], inputs["context"], **rest).float()


def in_vitascope(binary, path, inputs, folder):
    from safetensors.torch import load_file, save_file

    given, taken = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
    save_file(inputs, given)
    command = [binary, "probe", "dit", "--weights", path, "--inputs", given, "--outputs", taken]
    subprocess.run(command, check=True, capture_output=True)
    return load_file(taken)["out"]


def relative(a, b):
    return float((a - b).norm() / b.norm())


if __name__ == "__main__":
    sys.exit(main())
