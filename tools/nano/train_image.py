"""Trains image to video: the vision encoder, the transformer of Wan 2.1's kind and the two experts of Wan 2.2's.

    python train_image.py vision --out vision.safetensors --minutes 4
    python train_image.py cache  --vae vae.safetensors --cache image-latents --clips 3200 [--part 0 2]
    python train_image.py core   --from video.safetensors --out core.safetensors --minutes 20 ...
    python train_image.py i2v    --from core.safetensors --vision vision.safetensors --out i2v.safetensors ...
    python train_image.py high   --from core.safetensors --out high.safetensors ...
    python train_image.py low    --from core.safetensors --out low.safetensors ...

Every video stage also wants --spiece, --vae and --cache. `core` starts from text to video, its patch embedding
widened with zeros; it has no image branch. `i2v` adds that branch; `high` and `low` see their part of the timesteps
alone. The text encoder stays as it is.
"""

import argparse
import os
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

import condition
import flow
import text
import train_dit
import train_vae
import world
from clip_vision import PROJECTION, WIDTH, ClipVision
from dit import WanDit
from optim import Optimizers
from sample import decode, sample
from vae import wan_statistics

CHUNK, FRAMES = 400, 17
IMAGE_DROPOUT = 0.12  # of i2v: clips for which the vision encoder alone tells what the start image shows
BOUNDARY = 0.9  # of the shifted timestep, from which on the high-noise expert works
RANGES = {"core": (0.0, 1.0), "i2v": (0.0, 1.0), "high": (BOUNDARY, 1.0), "low": (0.0, BOUNDARY)}
SHAPE = dict(train_dit.DIT, channels=36, out_channels=16)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("vision", "cache", *RANGES))
    parser.add_argument("--vae")
    parser.add_argument("--vision")
    parser.add_argument("--cache", default="image-latents", help="folder of the cached latents")
    parser.add_argument("--clips", type=int, default=3200)
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), help="every how-manieth chunk, for two processes")
    flow.add_arguments(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    if args.stage == "cache":
        cache_latents(args)
    elif args.stage == "vision":
        train_vision(args)
    else:
        train_video(args)


# ---- the vision encoder -------------------------------------------------------------------------------


def load_vision(path):
    vision = ClipVision()
    if path:
        vision.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    return vision.eval()


def train_vision(args):
    """What the start image shows, told from the hidden states that the transformer reads and from the projection."""
    vision = load_vision(args.source)
    outputs = (4, 2, 2, 3)  # colour, shape, background; place and size
    heads = nn.ModuleList([nn.Linear(2 * WIDTH, sum(outputs)), nn.Linear(PROJECTION, sum(outputs))])
    rng = np.random.default_rng((13, args.seed))
    matrices = [p for p in vision.vision_model.encoder.parameters() if p.dim() == 2]
    known = set(map(id, matrices))
    rest = [p for p in [*vision.parameters(), *heads.parameters()] if id(p) not in known]
    optimizers = Optimizers(matrices, rest, args.muon_lr, args.adam_lr, args.fall_from)
    started, step, shown = time.time(), 0, []
    while (spent := time.time() - started) < args.minutes * 60:
        scenes = [(world.draw_scene, world.draw_start_scene)[i % 2](rng) for i in range(24)]
        pixels = torch.stack([condition.vision_pixels(world.render(scene, 64, 1)[0]) for scene in scenes])
        actors = [scene.actors[0] for scene in scenes]
        named = torch.tensor([(tuple(world.COLOURS).index(actor.colour), world.SHAPES.index(actor.shape),
                               tuple(world.BACKGROUNDS).index(scene.background)) for actor, scene in zip(actors, scenes)])
        place = torch.tensor([(*actor.centre_at(0), actor.radius * 4) for actor in actors], dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            hidden, projection = vision(pixels)
            told = (heads[0](torch.cat((hidden[:, 0], hidden[:, 1:].mean(1)), dim=1)), heads[1](projection))
        loss, right = 0.0, []
        for logits in told:
            *names, where = logits.float().split(outputs, dim=1)
            loss = loss + sum(F.cross_entropy(logit, target) for logit, target in zip(names, named.T))
            loss = loss + 30 * (where - place).square().mean()
            right.append([float((logit.argmax(1) == target).float().mean()) for logit, target in zip(names, named.T)])
        loss.backward()
        optimizers.step(spent / (args.minutes * 60))
        step += 1
        shown.append((loss.item(), *right[0], *right[1]))
        if step % 50 == 0:
            print(f"vision step {step} {spent:.0f}s loss and shares right {np.mean(shown, axis=0).round(3)}", flush=True)
            shown = []
    save_file({name: tensor.contiguous() for name, tensor in vision.state_dict().items()}, args.out)


@torch.no_grad()
def see(vision, images):
    """Hidden states [count, 257, WIDTH] of start images [height, width, 3] in 0..1."""
    pixels = torch.stack([condition.vision_pixels(image) for image in images])
    with torch.autocast("cpu", torch.bfloat16):
        return torch.cat([vision(part)[0].float() for part in pixels.split(32)])


# ---- latents ------------------------------------------------------------------------------------------


@torch.no_grad()
def cache_latents(args):
    """Encodes training clips and their start images into files of CHUNK clips each; existing files are kept."""
    vae = train_vae.load(args.vae)
    mean, std = wan_statistics(vae)
    os.makedirs(args.cache, exist_ok=True)
    for chunk in range(args.part[0], args.clips // CHUNK, args.part[1]):
        path = os.path.join(args.cache, f"{chunk:04}.safetensors")
        if os.path.exists(path):
            continue
        started, latents, starts = time.time(), [], []
        for first in range(chunk * CHUNK, (chunk + 1) * CHUNK, 8):
            scenes = [world.training_image_scene(index) for index in range(first, first + 8)]
            pixels = condition.as_pixels(np.stack([world.render(scene, 64, FRAMES) for scene in scenes]))
            with torch.autocast("cpu", torch.bfloat16):
                raw = vae.encode(pixels)[0].float()
            latents.append(((raw - mean) / std).half())
            starts.append(condition.start_latents(vae, pixels[:, :, :1], FRAMES).half())
        save_file({"latents": torch.cat(latents).contiguous(), "starts": torch.cat(starts).contiguous()}, path + ".part")
        os.replace(path + ".part", path)
        print(f"chunk {chunk} in {time.time() - started:.0f}s", flush=True)


class Clips:
    """Cached latents, start latents and scenes, and what the vision encoder makes of the start images."""

    def __init__(self, folder, vision=None):
        parts = [load_file(os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if name.endswith("tensors")]
        self.latents = torch.cat([part["latents"] for part in parts])
        self.starts = torch.cat([part["starts"] for part in parts])
        self.scenes = [world.training_image_scene(index) for index in range(len(self.latents))]
        self.seen = None
        if vision:
            images = [world.start_image(scene) for scene in self.scenes]
            self.seen = torch.cat([see(vision, images[i : i + 64]).half() for i in range(0, len(images), 64)])


# ---- the transformer ----------------------------------------------------------------------------------


def train_video(args):
    tokenizer = text.Tokenizer(open(args.spiece, "rb").read())
    encoder, dit = load(args.source, args.stage == "i2v")
    _, mean = load(args.source, args.stage == "i2v")
    mean.load_state_dict(dit.state_dict())
    vision = load_vision(args.vision) if args.stage == "i2v" else None
    clips = Clips(args.cache, vision)
    print(f"{len(clips.scenes)} clips", flush=True)
    low, high = RANGES[args.stage]

    def draw(rng, count):
        chosen = rng.integers(len(clips.scenes), size=count)
        context, lengths = flow.draw_context(rng, [clips.scenes[i] for i in chosen], encoder, tokenizer)
        clean = clips.latents[chosen].float()
        extra = condition.with_mask(clips.starts[chosen].float())
        image = None
        if vision:
            image = clips.seen[chosen].float()
            extra[torch.from_numpy(rng.random(count) < IMAGE_DROPOUT)] = 0.0
        sigma = flow.draw_sigma(rng, count, args.training_shift, low, high)
        at, noise = sigma.view(-1, 1, 1, 1, 1), torch.randn_like(clean)
        inputs = torch.cat(((1 - at) * clean + at * noise, extra), dim=1)
        return (inputs, sigma * 1000, context, lengths, image), noise - clean, None

    vae = train_vae.load(args.vae)
    save = lambda: flow.save(encoder, mean, args.out)

    def check(step):
        if args.stage in ("core", "i2v"):
            scores = evaluate(mean, encoder, tokenizer, vae, vision, sheet=args.out + ".png")[0]
            print(f"check at step {step}: {scores}", flush=True)

    flow.train(dit, mean, draw, save, check, args)


def load(path, image_branch):
    """Text encoder and transformer. What a checkpoint of another kind lacks stays fresh; the patch embedding of text
    to video is widened with zeros."""
    state = load_file(path)
    encoder = text.TextEncoder(len(state["text.shared.weight"]))
    dit = WanDit(**SHAPE, image_width=WIDTH if image_branch else None)
    own = dit.state_dict()
    for name in own:
        if "dit." + name in state:
            tensor = state["dit." + name].float()
            missing = own[name].shape[1] - tensor.shape[1] if name == "patch_embedding.weight" else 0
            own[name] = F.pad(tensor, (0, 0, 0, 0, 0, 0, 0, missing)) if missing else tensor
    dit.load_state_dict(own)
    encoder.load_state_dict({name[5:]: tensor.float() for name, tensor in state.items() if name.startswith("text.")})
    return encoder.eval(), dit


def development_pairs(count):
    """Prompts, seeds, start images and what is asked for; other ones than those of the final evaluation."""
    for index in range(count):
        rng = np.random.default_rng((14, index))
        scene = world.draw_start_scene(rng, colour=tuple(world.COLOURS)[index % 4], motion=world.MOTIONS[index % 5])
        actor = scene.actors[0]
        yield {"prompt": world.draw_caption(rng, scene, ("en", "zh")[index % 2], held_out=True), "seed": 500_000 + index,
               "colour": actor.colour, "motion": actor.motion, "shape": actor.shape, "background": scene.background,
               "scene": scene}


def evaluate(dit, encoder, tokenizer, vae, vision, pairs=None, steps=12, shift=3.0, cfg=2.5, sheet=None,
             without_latents=False, **experts):
    """Scores of clips from start images: those of the judge, and the PSNR of the first frame. `without_latents`
    zeroes mask and start latents, so that the vision encoder alone tells what the image shows."""
    pairs = list(pairs or development_pairs(20))
    latents = []
    for first in range(0, len(pairs), 16):
        part = pairs[first : first + 16]
        images = np.stack([world.start_image(pair["scene"]) for pair in part])
        extra = condition.with_mask(condition.start_latents(vae, condition.as_pixels(images[:, None]), FRAMES))
        if without_latents:
            extra.zero_()
        image = see(vision, images) if vision else None
        latents.append(sample(dit, encoder, tokenizer, [pair["prompt"] for pair in part], [pair["seed"] for pair in part],
                              steps, shift, cfg, extra=extra, image=image, **experts))
    return flow.score(decode(vae, torch.cat(latents)), pairs, sheet)


if __name__ == "__main__":
    main()
