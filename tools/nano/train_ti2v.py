"""Trains the transformer of the Wan 2.2 5B's kind: text to video and image to video in one file.

    python train_ti2v.py cache --vae vae22.safetensors --cache ti2v-latents --clips 4000
    python train_ti2v.py video --vae vae22.safetensors --cache ti2v-latents --spiece spiece.model \
        --from video.safetensors --out ti2v.safetensors --minutes 20 --compile

`video` starts from the blocks of text to video, or from its own kind. For half of the clips the first latent frame is
clean and its timestep 0, which is how a start image is given. The text encoder stays as it is.
"""

import argparse
import os
import time

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import condition
import flow
import text
import train_dit
import train_vae
import world
from dit import WanDit
from sample import decode, sample
from train_image import development_pairs
from vae import wan_statistics

CHUNK, FRAMES = 400, 17
CHANNELS, SIZE = 48, (48, 5, 4, 4)
SHAPE = dict(train_dit.DIT, channels=CHANNELS, layers=4)
KEPT_BLOCKS = (0, 1, 3, 4)  # of the five of text to video, to start from
IMAGE_SHARE = 0.5  # of the clips whose first latent frame is given


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("cache", "video"))
    parser.add_argument("--vae")
    parser.add_argument("--cache", default="ti2v-latents", help="folder of the cached latents")
    parser.add_argument("--clips", type=int, default=4000)
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), help="every how-manieth chunk, for two processes")
    flow.add_arguments(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    (cache_latents if args.stage == "cache" else train_video)(args)


@torch.no_grad()
def cache_latents(args):
    """Encodes training clips into files of CHUNK clips each; existing files are kept."""
    vae = train_vae.load(args.vae)
    os.makedirs(args.cache, exist_ok=True)
    for chunk in range(args.part[0], args.clips // CHUNK, args.part[1]):
        path = os.path.join(args.cache, f"{chunk:04}.safetensors")
        if os.path.exists(path):
            continue
        started, latents = time.time(), []
        for first in range(chunk * CHUNK, (chunk + 1) * CHUNK, 8):
            scenes = [world.training_image_scene(index) for index in range(first, first + 8)]
            pixels = condition.as_pixels(np.stack([world.render(scene, 64, FRAMES) for scene in scenes]))
            latents.append(encode(vae, pixels).half())
        save_file({"latents": torch.cat(latents).contiguous()}, path + ".part")
        os.replace(path + ".part", path)
        print(f"chunk {chunk} in {time.time() - started:.0f}s", flush=True)


@torch.no_grad()
def encode(vae, pixels):
    """Normalised latents of clips or single frames."""
    mean, std = wan_statistics(vae)
    with torch.autocast("cpu", torch.bfloat16):
        return (vae.encode(pixels)[0].float() - mean) / std


def train_video(args):
    tokenizer = text.Tokenizer(open(args.spiece, "rb").read())
    encoder, dit = load(args.source)
    mean = WanDit(**SHAPE)
    mean.load_state_dict(dit.state_dict())
    names = [name for name in sorted(os.listdir(args.cache)) if name.endswith("tensors")]
    latents = torch.cat([load_file(os.path.join(args.cache, name))["latents"] for name in names])
    scenes = [world.training_image_scene(index) for index in range(len(latents))]
    print(f"{len(scenes)} clips, latent mean {float(latents.float().mean()):.3f}, std {float(latents.float().std()):.3f}",
          flush=True)

    def draw(rng, count):
        chosen = rng.integers(len(scenes), size=count)
        context, lengths = flow.draw_context(rng, [scenes[i] for i in chosen], encoder, tokenizer)
        clean = latents[chosen].float()
        sigma = flow.draw_sigma(rng, count, args.training_shift)[:, None].repeat(1, SIZE[1])
        given = torch.from_numpy(rng.random(count) < IMAGE_SHARE)
        sigma[given, 0] = 0.0
        at, noise = sigma[:, None, :, None, None], torch.randn_like(clean)
        weight = torch.ones(count, 1, SIZE[1], 1, 1)
        weight[given, :, 0] = 0.0
        return ((1 - at) * clean + at * noise, sigma * 1000, context, lengths), noise - clean, weight / weight.mean()

    vae = train_vae.load(args.vae)
    save = lambda: flow.save(encoder, mean, args.out)

    def check(step):
        for given in (True, False):
            scores = evaluate(mean, encoder, tokenizer, vae, given, sheet=f"{args.out}.{'image' if given else 'text'}.png")[0]
            print(f"check at step {step}, {'image' if given else 'text'} to video: {scores}", flush=True)

    flow.train(dit, mean, draw, save, check, args)


def load(path):
    """Text encoder and transformer; from a text-to-video checkpoint four of its blocks and what has the same shape."""
    state = load_file(path)
    encoder = text.TextEncoder(len(state["text.shared.weight"]))
    encoder.load_state_dict({name[5:]: tensor.float() for name, tensor in state.items() if name.startswith("text.")})
    dit = WanDit(**SHAPE)
    own = dit.state_dict()
    foreign = "dit.blocks.4.modulation" in state
    for name in own:
        source = "dit." + name
        if foreign and name.startswith("blocks."):
            _, block, rest = name.split(".", 2)
            source = f"dit.blocks.{KEPT_BLOCKS[int(block)]}.{rest}"
        if state[source].shape == own[name].shape:
            own[name] = state[source].float()
    dit.load_state_dict(own)
    return encoder.eval(), dit


def evaluate(dit, encoder, tokenizer, vae, given, pairs=None, steps=12, shift=3.0, cfg=2.5, sheet=None):
    """Scores of clips from prompts and, when `given`, start images."""
    pairs = list(pairs or development_pairs(20))
    latents = []
    for start in range(0, len(pairs), 16):
        part = pairs[start : start + 16]
        first = None
        if given:
            first = encode(vae, condition.as_pixels(np.stack([world.start_image(pair["scene"])[None] for pair in part])))
        latents.append(sample(dit, encoder, tokenizer, [pair["prompt"] for pair in part], [pair["seed"] for pair in part],
                              steps, shift, cfg, size=SIZE, first=first))
    clips = decode(vae, torch.cat(latents))
    if not given:  # a prompt need not name the background
        pairs = [pair | {"background": pair["background"] if world.names_background(pair["prompt"], pair["scene"]) else None}
                 for pair in pairs]
    return flow.score(clips, pairs, sheet)


if __name__ == "__main__":
    main()
