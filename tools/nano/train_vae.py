"""Trains the autoencoder: single frames, then clips, both in turn, then the decoder alone on finished latents.

    python train_vae.py frames  --out vae-frames.safetensors  --minutes 5
    python train_vae.py clips   --from vae-frames.safetensors --out vae-clips.safetensors --minutes 14
    python train_vae.py polish  --from vae-clips.safetensors  --out vae-polished.safetensors --minutes 15
    python train_vae.py scale   --from vae-clips.safetensors  --out vae-scaled.safetensors
    python train_vae.py decoder --from vae-scaled.safetensors --out vae.safetensors --minutes 40
    python train_vae.py measure --from vae.safetensors
    python train_vae.py frames  --generation 2.2 --out vae22-frames.safetensors --minutes 5    and so on

`scale` gives the latents the statistics of the real Wan autoencoder; afterwards the encoder stays as it is, so
that the video model can be trained while the decoder still improves.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import world
from condition import as_pixels
from optim import Optimizers
from vae import WanVae, rescale_latents
from vae22 import WanVae22

STAGES = ("frames", "clips", "decoder", "polish")
RATES = {"frames": (0.02, 3e-3), "clips": (0.01, 1.5e-3), "decoder": (0.004, 6e-4), "polish": (0.006, 1e-3)}
FALL_FROM = {"frames": 0.7, "clips": 0.5, "decoder": 0.3, "polish": 0.3}
DIVERGENCE = {"frames": 5e-4, "clips": 5e-4, "decoder": 0.0, "polish": 1e-4}  # weight in the loss
BASE = 8
BASES_22 = (8, 12)  # of encoder and decoder
MARK_22 = "decoder.upsamples.0.upsamples.0.residual.2.weight"  # only the 2.2 autoencoder nests its stages


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=(*STAGES, "scale", "measure"))
    parser.add_argument("--from", dest="source")
    parser.add_argument("--out")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    parser.add_argument("--generation", choices=("2.1", "2.2"), default="2.1", help="of an autoencoder from nothing")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    fresh = {"2.1": lambda: WanVae(BASE), "2.2": lambda: WanVae22(*BASES_22)}[args.generation]
    vae = load(args.source) if args.source else fresh()
    if args.stage == "scale":
        scale(vae)
    elif args.stage != "measure":
        train(vae, args)
    print("PSNR of unseen clips, dB:", measure(vae), flush=True)
    if args.out:
        save(vae, args.out)


def load(path):
    state = {name: tensor.float() for name, tensor in load_file(path).items()}
    base = lambda coder: state[coder].shape[0]
    if MARK_22 in state:
        vae = WanVae22(base("encoder.conv1.weight"), base("decoder.head.0.gamma"))
    else:
        vae = WanVae(base("encoder.conv1.weight"))
    vae.load_state_dict(state)
    return vae


def save(vae, path):
    save_file({name: tensor.detach().float().contiguous() for name, tensor in vae.state_dict().items()}, path)


def train(vae, args):
    if args.stage == "clips":
        vae.reset_time_taps()
    for param in vae.parameters():
        if param.dim() == 5:
            param.data = param.data.contiguous(memory_format=torch.channels_last_3d)
    module = vae
    if args.stage == "decoder":
        module = torch.nn.ModuleList([vae.conv2, vae.decoder])
    params = list(module.parameters())
    is_matrix = lambda p: args.optimizer == "muon" and p.dim() >= 4 and p.shape[0] > 3
    optimizers = Optimizers([p for p in params if is_matrix(p)], [p for p in params if not is_matrix(p)],
                            *RATES[args.stage], fall_from=FALL_FROM[args.stage])
    rng = np.random.default_rng((3, args.seed, STAGES.index(args.stage)))
    started, step, shown = time.time(), 0, []
    while (spent := time.time() - started) < args.minutes * 60:
        kind = ("frames", "frames", "clips")[step % 3] if args.stage == "polish" else args.stage
        pixels, weight = draw_batch(rng, kind, isinstance(vae, WanVae22), outlines=args.stage == "polish")
        with torch.autocast("cpu", torch.bfloat16):
            if args.stage == "decoder":
                with torch.no_grad():
                    mean, log_variance = vae.encode(pixels)
            else:
                mean, log_variance = vae.encode(pixels)
            noise = torch.randn_like(mean.float()) * torch.exp(0.5 * log_variance.float())
            if args.stage == "decoder":
                noise = noise * 0.5  # closer to what the video model will hand over
            decoded = vae.decode(mean.float() + noise)
        error = decoded.float() - pixels
        loss = ((error.abs() + 2 * error.square()) * weight).mean()
        mean, log_variance = mean.float(), log_variance.float()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        (loss + DIVERGENCE[args.stage] * divergence).backward()
        optimizers.step(spent / (args.minutes * 60))
        step += 1
        shown.append((loss.item(), error.square().mean().item(), divergence.item()))
        if step % 25 == 0:
            rec, mse, kl = np.mean(shown, axis=0)
            shown = []
            print(f"{args.stage} {args.optimizer} step {step} {spent:.0f}s rec {rec:.4f} "
                  f"psnr {-10 * np.log10(mse / 4):.2f} kl {kl:.3f}", flush=True)
        if step % 400 == 0:
            print("PSNR of unseen clips, dB:", measure(vae), flush=True)
            save(vae, args.out)


def draw_batch(rng, stage, newer, outlines=False):
    """Pixels in -1..1 and the weight of each in the loss: shapes and where they pass count four times. For the
    `newer` autoencoder, which is cheaper, clips stay whole, and half of them start near the middle. With `outlines`
    the pixels that tell a circle from a square of the same place and size count twenty times."""
    count, frames = {"frames": (24, 1), "clips": (8, 9), "decoder": (6 if newer else 3, 17)}[stage]
    pixels, weights = [], []
    for index in range(count):
        scene = world.draw_start_scene(rng) if newer and index % 2 else world.draw_scene(rng)
        total = {"frames": 33, "clips": 17, "decoder": frames}[stage]
        first = rng.integers(total - frames + 1)
        whole = world.render(scene, 64, total)[first : first + frames]
        clip = crop_near_shape(rng, whole, scene, 48) if stage == "clips" and not newer else whole
        background = np.array(world.BACKGROUNDS[scene.background], np.float32) / 255
        mask = np.abs(clip - background).max(axis=(0, 3)) > 0.04
        weight = 1.0 + 3.0 * np.broadcast_to(mask, clip.shape[:3])
        if outlines and newer:
            actor = scene.actors[0]
            other = replace(scene, actors=(replace(actor, shape=world.SHAPES[1 - world.SHAPES.index(actor.shape)]),))
            other = world.render(other, 64, total)[first : first + frames]
            weight = weight + 16.0 * (np.abs(clip - other).max(axis=3) > 0.04)
        pixels.append(clip)
        weights.append(weight / weight.mean())
    return as_pixels(np.stack(pixels)), torch.from_numpy(np.stack(weights)).float().unsqueeze(1)


def crop_near_shape(rng, clip, scene, size):
    """A window of the clip, on the grid of the latents, that mostly holds the actor."""
    x, y = scene.actors[0].centre_at(rng.random())
    spare = (clip.shape[1] - size) // 8
    left = int(np.clip(round((x * 64 - size / 2) / 8 + rng.normal()), 0, spare)) * 8
    top = int(np.clip(round((y * 64 - size / 2) / 8 + rng.normal()), 0, spare)) * 8
    return clip[:, top : top + size, left : left + size]


@torch.no_grad()
def measure(vae, count=16):
    """PSNR over `count` unseen clips: mean, lowest, and of the first frames alone."""
    values, first = [], []
    for index in range(count):
        colours, grounds = tuple(world.COLOURS), tuple(world.BACKGROUNDS)
        scene = world.draw_scene(world.unseen_clip_rng(index), colour=colours[index % 4],
                                 background=grounds[index // 4 % 2])
        clip = as_pixels(world.render(scene, 64, 17)[None])
        with torch.autocast("cpu", torch.bfloat16):
            decoded = vae.decode(vae.encode(clip)[0].float()).float().clamp(-1, 1)
        psnr = lambda a, b: -10 * float(((a - b).square().mean() / 4).log10())
        values.append(psnr(decoded, clip))
        first.append(psnr(decoded[:, :, :1], clip[:, :, :1]))
    return {"mean": round(float(np.mean(values)), 2), "lowest": round(min(values), 2),
            "first_frames": round(float(np.mean(first)), 2)}


@torch.no_grad()
def scale(vae, count=256):
    """Channel statistics over training clips. Posterior noise counts as deviation, so that channels which carry
    nothing stay near their mean and give the video model nothing to guess."""
    means, variances = [], []
    for index in range(count):
        pixels = as_pixels(world.render(world.draw_scene(world.training_clip_rng(index)), 64, 17)[None])
        with torch.autocast("cpu", torch.bfloat16):
            mean, log_variance = vae.encode(pixels)
        means.append(mean.float())
        variances.append(log_variance.float().exp())
    means, variances = torch.cat(means), torch.cat(variances)
    signal, noise = means.var(dim=(0, 2, 3, 4)), variances.mean(dim=(0, 2, 3, 4))
    print("signal std", [round(float(v) ** 0.5, 2) for v in signal])
    print("noise std", [round(float(v) ** 0.5, 2) for v in noise])
    rescale_latents(vae, means.mean(dim=(0, 2, 3, 4)), (signal + noise).sqrt())


if __name__ == "__main__":
    main()
