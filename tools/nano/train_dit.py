"""Trains the text encoder and the video transformer.

    python train_dit.py text  --spiece spiece.model --out text.safetensors --minutes 3
    python train_dit.py cache --vae vae.safetensors --cache latents --clips 8000
    python train_dit.py video --spiece spiece.model --vae vae.safetensors --cache latents \
        --from text.safetensors --out video.safetensors --minutes 60

`text` teaches the encoder alone to tell colour, shape, motion and background from captions. `video` trains both
by flow matching (velocity = noise - clip) on latents that are computed once, with a new caption for a clip each
time. Checkpoints hold `dit.*` and `text.*`, the running mean of the weights.
"""

import argparse
import os
import time

import numpy as np
import torch
import torch.nn as nn
import torch.distributed
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

import judge
import text
import train_vae
import world
from dit import WanDit
from optim import Muon, Optimizers
from sample import contact_sheet, decode, sample
from vae import wan_statistics

DIT = dict(dim=256, ffn=512, layers=5, text_dim=text.WIDTH)
BATCH = 32  # of each process
PROMPT_DROPOUT = 0.1
TRAINING_SHIFT = 3.0
MEAN_DECAY = 0.997
CHUNK, MINIMUM_CHUNKS = 400, 1
CAPTION_TOKENS = 26  # captions of the world are shorter; one length keeps the compiled graph


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("text", "cache", "video"))
    parser.add_argument("--spiece")
    parser.add_argument("--vae")
    parser.add_argument("--cache", default="latents", help="folder of the cached latents")
    parser.add_argument("--decoder", help="a newer decoder for the same latents, read again at every check")
    parser.add_argument("--from", dest="source")
    parser.add_argument("--out")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clips", type=int, default=8000)
    parser.add_argument("--muon-lr", type=float, default=0.01)
    parser.add_argument("--adam-lr", type=float, default=1e-3)
    parser.add_argument("--check-minutes", type=float, default=4.0)
    parser.add_argument("--fall-from", type=float, default=0.4)
    parser.add_argument("--compile", action="store_true", help="compiles the blocks: slow start, steps 1.8 times as fast")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    if args.stage == "cache":
        return cache_latents(args)
    tokenizer = text.Tokenizer(open(args.spiece, "rb").read())
    encoder, dit = load(args.source, tokenizer.model.get_piece_size())
    if args.stage == "text":
        train_text(encoder, tokenizer, args)
        save(encoder, dit, args.out)
    else:
        train_video(encoder, dit, tokenizer, args)


def load(path, vocabulary):
    """Encoder and transformer, from a checkpoint where it has them, else fresh."""
    encoder, dit = text.TextEncoder(vocabulary), WanDit(**DIT)
    state = load_file(path) if path else {}
    for prefix, module in (("text.", encoder), ("dit.", dit)):
        part = {name[len(prefix):]: tensor.float() for name, tensor in state.items() if name.startswith(prefix)}
        if part:
            module.load_state_dict(part)
    return encoder, dit


def save(encoder, dit, path):
    state = {f"text.{name}": tensor for name, tensor in encoder.state_dict().items()}
    state |= {f"dit.{name}": tensor for name, tensor in dit.state_dict().items()}
    save_file({name: tensor.float().contiguous() for name, tensor in state.items()}, path + ".part")
    os.replace(path + ".part", path)


def train_text(encoder, tokenizer, args):
    """Classification of the caption from the mean of the encoder's rows."""
    grounds = tuple(world.BACKGROUNDS)
    heads = nn.Linear(text.WIDTH, 4 + 2 + 5 + 3)
    rng = np.random.default_rng((5, args.seed))
    matrices = [p for p in encoder.encoder.parameters() if p.dim() == 2 and p.shape[0] > 32]
    known = set(map(id, matrices))
    rest = [p for p in list(encoder.parameters()) + list(heads.parameters()) if id(p) not in known]
    optimizers = Optimizers(matrices, rest, 0.005, 2e-3)
    started, step = time.time(), 0
    while (spent := time.time() - started) < args.minutes * 60:
        captions, targets = [], []
        for _ in range(64):
            scene = world.draw_scene(rng)
            actor = scene.actors[0]
            caption = world.draw_caption(rng, scene, ("en", "zh")[rng.integers(2)])
            named = world.names_background(caption, scene)
            captions.append(caption)
            targets.append((tuple(world.COLOURS).index(actor.colour), world.SHAPES.index(actor.shape),
                            world.MOTIONS.index(actor.motion), grounds.index(scene.background) if named else 2))
        ids, lengths = tokenizer(captions)
        pooled = encoder(ids, lengths).sum(1) / lengths[:, None]
        logits = heads(pooled).split((4, 2, 5, 3), dim=1)
        targets = torch.tensor(targets)
        losses = [F.cross_entropy(logit, target) for logit, target in zip(logits, targets.T)]
        sum(losses).backward()
        optimizers.step(spent / (args.minutes * 60))
        step += 1
        if step % 100 == 0:
            right = [float((l.argmax(1) == t).float().mean()) for l, t in zip(logits, targets.T)]
            print(f"text step {step} {spent:.0f}s loss {float(sum(losses)):.4f} right {right}", flush=True)


def train_video(encoder, dit, tokenizer, args):
    clips = Clips(args.cache)
    print(f"{len(clips.scenes)} clips, latent mean {float(clips.latents.float().mean()):.3f}, "
          f"std {float(clips.latents.float().std()):.3f}", flush=True)
    mean_encoder, mean_dit = load(args.source, tokenizer.model.get_piece_size())
    mean_dit.load_state_dict(dit.state_dict())
    matrices = [p for p in dit.blocks.parameters() if p.dim() == 2]
    known = set(map(id, matrices))
    rest = [p for p in dit.parameters() if id(p) not in known]
    optimizers = Optimizers(matrices, rest, args.muon_lr, args.adam_lr, fall_from=args.fall_from, warm_up_steps=20)
    optimizers.optimizers[0].add_param_group({"params": list(encoder.parameters()), "lr": args.adam_lr * 0.3})
    optimizers.peak = [g["lr"] for o in optimizers.optimizers for g in o.param_groups]
    optimizers.params += list(encoder.parameters())
    pairs = list(zip([*dit.parameters(), *encoder.parameters()], [*mean_dit.parameters(), *mean_encoder.parameters()]))
    if args.compile:
        for block in dit.blocks:
            block.compile(dynamic=False)
    workers, worker = join_workers()
    rng = np.random.default_rng((6, args.seed, worker))
    torch.manual_seed(1000 * args.seed + worker)
    started, step, losses, checked = time.time(), 0, [], time.time()
    spent = 0.0
    while spent < args.minutes * 60:
        chosen = rng.integers(len(clips.scenes), size=BATCH)
        captions = [world.draw_caption(rng, clips.scenes[i], ("en", "zh")[rng.integers(2)]) for i in chosen]
        captions = ["" if rng.random() < PROMPT_DROPOUT else caption for caption in captions]
        ids, lengths = tokenizer(captions, CAPTION_TOKENS)
        clean = clips.latents[chosen].float()
        u = torch.from_numpy((rng.permutation(BATCH) + rng.random(BATCH)) / BATCH).float()
        sigma = TRAINING_SHIFT * u / (1 + (TRAINING_SHIFT - 1) * u)
        noise = torch.randn_like(clean)
        at = sigma.view(-1, 1, 1, 1, 1)
        with torch.autocast("cpu", torch.bfloat16):
            velocity = dit((1 - at) * clean + at * noise, sigma * 1000, encoder(ids, lengths), lengths)
        loss = (velocity - (noise - clean)).square().mean()
        loss.backward()
        spent = average_gradients(optimizers.params, time.time() - started, workers)
        optimizers.step(spent / (args.minutes * 60))
        step += 1
        if worker:
            continue
        decay = min(MEAN_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            for param, mean in pairs:
                mean.lerp_(param, 1 - decay)
        losses.append(loss.item())
        if step % 50 == 0:
            print(f"video step {step} {spent:.0f}s loss {np.mean(losses):.4f}", flush=True)
            losses = []
            clips.refresh()
        if time.time() - checked > args.check_minutes * 60:
            save(mean_encoder, mean_dit, args.out)
            check(mean_encoder, mean_dit, tokenizer, args, step)
            checked = time.time()
    if worker == 0:
        save(mean_encoder, mean_dit, args.out)
        check(mean_encoder, mean_dit, tokenizer, args, step)


def join_workers():
    """Number of processes that train together and the own number; both come from torchrun's environment."""
    workers = int(os.environ.get("WORLD_SIZE", "1"))
    if workers > 1:
        torch.distributed.init_process_group("gloo")
    return workers, int(os.environ.get("RANK", "0"))


def average_gradients(params, spent, workers):
    """Averages gradients over the processes, and the time spent, so that all follow one schedule."""
    if workers == 1:
        return spent
    flat = torch.cat([p.grad.reshape(-1) for p in params] + [torch.tensor([spent])])
    torch.distributed.all_reduce(flat)
    flat /= workers
    first = 0
    for param in params:
        param.grad.copy_(flat[first : first + param.numel()].view_as(param))
        first += param.numel()
    return float(flat[-1])


@torch.no_grad()
def cache_latents(args):
    """Encodes training clips into files of CHUNK clips each; the files that exist already are kept."""
    vae = train_vae.load(args.vae)
    mean, std = wan_statistics(vae)
    os.makedirs(args.cache, exist_ok=True)
    for chunk in range(args.clips // CHUNK):
        path = os.path.join(args.cache, f"{chunk:04}.safetensors")
        if os.path.exists(path):
            continue
        started, latents = time.time(), []
        for first in range(chunk * CHUNK, (chunk + 1) * CHUNK, 8):
            part = [world.draw_scene(world.training_clip_rng(index)) for index in range(first, first + 8)]
            pixels = torch.from_numpy(np.stack([world.render(scene, 64, 17) for scene in part])).permute(0, 4, 1, 2, 3)
            with torch.autocast("cpu", torch.bfloat16):
                raw = vae.encode(pixels * 2 - 1)[0].float()
            latents.append(((raw - mean) / std).half())
        save_file({"latents": torch.cat(latents).contiguous()}, path + ".part")
        os.replace(path + ".part", path)
        print(f"chunk {chunk} in {time.time() - started:.0f}s", flush=True)


class Clips:
    """The cached latents with their scenes; `refresh` takes in what another process has added."""

    def __init__(self, folder):
        self.folder, self.parts, self.scenes = folder, [], []
        while not self.refresh():
            time.sleep(1)

    def refresh(self):
        while os.path.exists(path := os.path.join(self.folder, f"{len(self.parts):04}.safetensors")):
            first = len(self.scenes)
            self.parts.append(load_file(path)["latents"])
            self.scenes += [world.draw_scene(world.training_clip_rng(first + i)) for i in range(len(self.parts[-1]))]
            self.latents = torch.cat(self.parts)
        return len(self.parts) >= MINIMUM_CHUNKS


def development_prompts(count):
    """Prompts, seeds and what they ask for; other ones than those of the final evaluation."""
    prompts, seeds, expected = [], [], []
    for index in range(count):
        rng = np.random.default_rng((7, index))
        scene = world.draw_scene(rng, colour=tuple(world.COLOURS)[index % 4], motion=world.MOTIONS[index % 5])
        prompts.append(world.draw_caption(rng, scene, ("en", "zh")[index % 2], held_out=True))
        seeds.append(500_000 + index)
        actor = scene.actors[0]
        expected.append(dict(colour=actor.colour, motion=actor.motion, shape=actor.shape,
                             background=scene.background if world.names_background(prompts[-1], scene) else None))
    return prompts, seeds, expected


def check(encoder, dit, tokenizer, args, step, count=40):
    """Judges `count` development prompts."""
    prompts, seeds, expected = development_prompts(count)
    vae = train_vae.load(args.decoder if args.decoder and os.path.exists(args.decoder) else args.vae)
    clips = decode(vae, sample(dit, encoder, tokenizer, prompts, seeds, steps=12))
    scores, _ = judge.score(clips, expected)
    contact_sheet(clips[:20], args.out + ".png")
    print(f"check at step {step}: {scores}", flush=True)


if __name__ == "__main__":
    main()
