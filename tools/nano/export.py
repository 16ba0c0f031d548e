"""Writes the files of the nano models: original names, f16 or scaled fp8, the vocabulary inside the text encoder.

    python export.py --video video.safetensors --vae vae.safetensors --spiece spiece.model --to ../../assets/nano
    python export.py --vision vision.safetensors --i2v i2v.safetensors --high high.safetensors --low low.safetensors \
        --ti2v ti2v.safetensors --vae22 vae22.safetensors --to ../../assets/nano

Training goes on from such a set after `python export.py --back ../../assets/nano --to FOLDER`.
"""

import argparse
import os

import torch
from safetensors.torch import load_file, save_file

NAMES = {"dit": "nano-t2v-dit.safetensors", "text": "nano-umt5.safetensors", "vae": "nano-vae.safetensors",
         "vision": "nano-clip-vision.safetensors", "i2v": "nano-i2v-dit.safetensors",
         "high": "nano-i2v-high.safetensors", "low": "nano-i2v-low.safetensors",
         "ti2v": "nano-ti2v-dit.safetensors", "vae22": "nano-vae22.safetensors"}
SCALED_FP8 = ("i2v", "high", "low")
FP8_MAX = 448.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video")
    parser.add_argument("--spiece")
    for kind in NAMES:
        if kind not in ("dit", "text"):
            parser.add_argument(f"--{kind}")
    parser.add_argument("--back")
    parser.add_argument("--to", required=True)
    args = parser.parse_args()
    os.makedirs(args.to, exist_ok=True)
    if args.back:
        return back(args.back, args.to)
    if args.video:
        state = load_file(args.video)
        with open(args.spiece, "rb") as file:
            spiece = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
        write(args.to, "dit", part(state, "dit."))
        write(args.to, "text", part(state, "text.") | {"spiece_model": spiece})
    for kind in NAMES:
        if kind not in ("dit", "text") and (path := getattr(args, kind)):
            state = load_file(path)
            write(args.to, kind, part(state, "dit.") or state)


def part(state, prefix):
    return {name[len(prefix):]: tensor for name, tensor in state.items() if name.startswith(prefix)}


def write(folder, kind, tensors):
    scaled = {}
    if kind in SCALED_FP8:
        scaled, tensors = scale_to_fp8(tensors)
    half = {name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
            for name, tensor in tensors.items()}
    for name, tensor in half.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{name} does not fit into f16 or is not finite; nothing was written to {NAMES[kind]}")
    path = os.path.join(folder, NAMES[kind])
    save_file(half | scaled, path + ".part", metadata={"format": "pt"})
    os.replace(path + ".part", path)
    print(path, os.path.getsize(path), "bytes")


def scale_to_fp8(tensors):
    """ComfyUI's scaled fp8: matrices as e4m3 with one f32 factor each beside them, and a tensor that marks the file.
    Returns that and what remains."""
    scaled, rest = {"scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn)}, {}
    for name, tensor in tensors.items():
        if tensor.dim() == 2 and name.endswith(".weight"):
            scale = tensor.abs().max().float() / FP8_MAX
            scaled[name] = (tensor.float() / scale).clamp(-FP8_MAX, FP8_MAX).to(torch.float8_e4m3fn)
            scaled[name.removesuffix("weight") + "scale_weight"] = scale
        else:
            rest[name] = tensor
    return scaled, rest


def read(path):
    """A file of the above in f32, scaled weights multiplied out; bytes stay bytes."""
    state = load_file(path)
    state.pop("scaled_fp8", None)
    scales = {name.removesuffix("scale_weight") + "weight": state.pop(name)
              for name in list(state) if name.endswith(".scale_weight")}
    widen = lambda name, tensor: tensor.float() * scales.get(name, 1.0) if tensor.is_floating_point() else tensor
    return {name: widen(name, tensor) for name, tensor in state.items()}


def back(source, folder):
    """Checkpoints, autoencoders and a vocabulary as the training scripts want them, of the files that are there."""
    load = lambda kind: read(os.path.join(source, NAMES[kind]))
    text = load("text")
    with open(os.path.join(folder, "spiece.model"), "wb") as file:
        file.write(text.pop("spiece_model").numpy().tobytes())
    texts = {f"text.{name}": tensor for name, tensor in text.items()}
    for kind, name in {"dit": "video", "i2v": "i2v", "high": "high", "low": "low", "ti2v": "ti2v"}.items():
        if os.path.exists(os.path.join(source, NAMES[kind])):
            state = {f"dit.{key}": tensor for key, tensor in load(kind).items()} | texts
            save_file(state, os.path.join(folder, name + ".safetensors"))
    for kind in ("vae", "vae22", "vision"):
        if os.path.exists(os.path.join(source, NAMES[kind])):
            save_file(load(kind), os.path.join(folder, kind + ".safetensors"))


if __name__ == "__main__":
    main()
