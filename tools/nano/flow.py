"""Flow-matching training that image to video and the 2.2 models share; velocity = noise - clip."""

import os
import time

import numpy as np
import torch
from safetensors.torch import save_file

import judge
import train_dit
import world
from optim import Optimizers
from sample import contact_sheet

PROMPT_DROPOUT = 0.1
MEAN_DECAY = 0.997


def add_arguments(parser):
    parser.add_argument("--spiece")
    parser.add_argument("--from", dest="source")
    parser.add_argument("--out")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--batch", type=int, default=32, help="of each process")
    parser.add_argument("--muon-lr", type=float, default=0.007)
    parser.add_argument("--adam-lr", type=float, default=7e-4)
    parser.add_argument("--training-shift", type=float, default=3.0)
    parser.add_argument("--check-minutes", type=float, default=5.0)
    parser.add_argument("--fall-from", type=float, default=0.4)
    parser.add_argument("--compile", action="store_true", help="compiles the blocks: slow start, faster steps")
    parser.add_argument("--seed", type=int, default=0)


def draw_context(rng, scenes, encoder, tokenizer):
    """New captions of the scenes, encoded; some are empty."""
    captions = [world.draw_caption(rng, scene, ("en", "zh")[rng.integers(2)]) for scene in scenes]
    captions = ["" if rng.random() < PROMPT_DROPOUT else caption for caption in captions]
    ids, lengths = tokenizer(captions, train_dit.CAPTION_TOKENS)
    with torch.no_grad():
        return encoder(ids, lengths), lengths


def draw_sigma(rng, count, shift, low=0.0, high=1.0):
    """Stratified noise levels in low..high, distributed like the shifted uniform ones in that range."""
    unshift = lambda sigma: sigma / (shift - (shift - 1) * sigma)
    u = torch.from_numpy((rng.permutation(count) + rng.random(count)) / count).float()
    u = unshift(low) + (unshift(high) - unshift(low)) * u
    return shift * u / (1 + (shift - 1) * u)


def save(encoder, dit, path):
    train_dit.save(encoder, dit, path)


def train(dit, mean, draw, save, check, args):
    """`draw(rng, count)` gives the transformer's arguments, the velocity and the weight of its elements or None;
    `mean` follows the weights, and is what `save()` and `check(step)` are about."""
    matrices = [p for p in dit.blocks.parameters() if p.dim() == 2]
    known = set(map(id, matrices))
    rest = [p for p in dit.parameters() if id(p) not in known]
    optimizers = Optimizers(matrices, rest, args.muon_lr, args.adam_lr, fall_from=args.fall_from, warm_up_steps=20)
    pairs = list(zip(dit.parameters(), mean.parameters()))
    if args.compile:
        for block in dit.blocks:
            block.compile(dynamic=False)
    workers, worker = train_dit.join_workers()
    rng = np.random.default_rng((6, args.seed, worker))
    torch.manual_seed(1000 * args.seed + worker)
    started, step, losses, checked, saved = time.time(), 0, [], time.time(), time.time()
    spent = 0.0
    while spent < args.minutes * 60:
        inputs, velocity, weight = draw(rng, args.batch)
        with torch.autocast("cpu", torch.bfloat16):
            error = (dit(*inputs) - velocity).square()
        loss = (error if weight is None else error * weight).mean()
        loss.backward()
        spent = train_dit.average_gradients(optimizers.params, time.time() - started, workers)
        optimizers.step(spent / (args.minutes * 60))
        step += 1
        if worker:
            continue
        decay = min(MEAN_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            for param, average in pairs:
                average.lerp_(param, 1 - decay)
        losses.append(loss.item())
        if step % 50 == 0:
            print(f"step {step} {spent:.0f}s loss {np.mean(losses):.4f}", flush=True)
            losses = []
        if time.time() - saved > 120:
            save()
            saved = time.time()
        if time.time() - checked > args.check_minutes * 60:
            check(step)
            checked = time.time()
    if worker == 0:
        save()
        check(step)


def score(clips, pairs, sheet=None):
    """The judge's shares, and the PSNR in dB of first frames against the start images of the pairs' scenes."""
    scores, results = judge.score(clips, pairs)
    psnr = [-10 * np.log10(np.square(clip[0] - world.start_image(pair["scene"])).mean())
            for clip, pair in zip(clips, pairs)]
    scores["first_frame"] = {"mean": round(float(np.mean(psnr)), 2), "lowest": round(float(np.min(psnr)), 2)}
    for result, value in zip(results, psnr):
        result["first_frame"] = round(float(value), 2)
    if sheet:
        contact_sheet(clips[:32], sheet)
    return scores, results
