"""Writes the three files of the nano model: f16, original Wan names, the vocabulary inside the text encoder.

    python export.py --video video.safetensors --vae vae.safetensors --spiece spiece.model --to ../../assets/nano

Training goes on from such a set after `python export.py --back ../../assets/nano --to FOLDER`.
"""

import argparse
import os

import torch
from safetensors.torch import load_file, save_file

NAMES = {"dit": "nano-t2v-dit.safetensors", "text": "nano-umt5.safetensors", "vae": "nano-vae.safetensors"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video")
    parser.add_argument("--vae")
    parser.add_argument("--spiece")
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
    if args.vae:
        write(args.to, "vae", load_file(args.vae))


def part(state, prefix):
    return {name[len(prefix):]: tensor for name, tensor in state.items() if name.startswith(prefix)}


def write(folder, kind, tensors):
    half = {name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
            for name, tensor in tensors.items()}
    for name, tensor in half.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{name} does not fit into f16 or is not finite; nothing was written to {NAMES[kind]}")
    path = os.path.join(folder, NAMES[kind])
    save_file(half, path + ".part", metadata={"format": "pt"})
    os.replace(path + ".part", path)
    print(path, os.path.getsize(path), "bytes")


def back(source, folder):
    """A checkpoint, an autoencoder and a vocabulary as the training scripts want them."""
    load = lambda kind: load_file(os.path.join(source, NAMES[kind]))
    text = load("text")
    with open(os.path.join(folder, "spiece.model"), "wb") as file:
        file.write(text.pop("spiece_model").numpy().tobytes())
    state = {f"dit.{name}": tensor.float() for name, tensor in load("dit").items()}
    state |= {f"text.{name}": tensor.float() for name, tensor in text.items()}
    save_file(state, os.path.join(folder, "video.safetensors"))
    save_file({name: tensor.float() for name, tensor in load("vae").items()}, os.path.join(folder, "vae.safetensors"))


if __name__ == "__main__":
    main()
