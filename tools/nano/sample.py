"""Clips from prompts: the flow-matching sampler that training and evaluation use."""

import torch

from vae import wan_statistics


def noise_of(seed, channels=16, frames=5, height=8, width=8):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, frames, height, width, generator=generator)[0]


def sigmas_of(steps, shift):
    linear = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return (shift * linear / (1 + (shift - 1) * linear)).tolist()


@torch.no_grad()
def sample(dit, encoder, tokenizer, prompts, seeds, steps=20, shift=3.0, cfg=4.0, negative="", size=(16, 5, 8, 8),
           extra=None, image=None, first=None, low=None, boundary=None):
    """Normalised latents [count, channels, frames, height, width] by Euler's method.

    `extra` [count, 20, ...] are channels beside the noise, `image` hidden states of the vision encoder, `first` the
    known first latent frame [count, channels, 1, ...] of models with timesteps for each frame; below `boundary`
    the expert `low` replaces `dit`."""
    count = len(prompts)
    twice = lambda y: None if y is None else torch.cat((y, y))
    with torch.autocast("cpu", torch.bfloat16):
        ids, lengths = tokenizer(list(prompts) + [negative] * count)
        context = encoder(ids, lengths)
        x = torch.stack([noise_of(seed, *size) for seed in seeds])
        sigmas = sigmas_of(steps, shift)
        for sigma, following in zip(sigmas[:-1], sigmas[1:]):
            timestep = torch.full((count,), sigma * 1000)
            if first is not None:
                x[:, :, :1] = first
                timestep = timestep[:, None].repeat(1, size[1])
                timestep[:, 0] = 0.0
            model = dit if low is None or sigma >= boundary else low
            inputs = x if extra is None else torch.cat((x, extra), dim=1)
            if cfg == 1.0:
                velocity = model(inputs, timestep, context[:count], lengths[:count], image)
            else:
                both = model(twice(inputs), twice(timestep), context, lengths, twice(image))
                with_prompt, without = both.chunk(2)
                velocity = without + cfg * (with_prompt - without)
            x = x + (following - sigma) * velocity
        if first is not None:
            x[:, :, :1] = first
    return x


@torch.no_grad()
def decode(vae, latents, batch=8):
    """Clips [count, frames, height, width, 3] in 0..1 as numpy, of normalised latents."""
    mean, std = wan_statistics(vae)
    clips = []
    for part in latents.split(batch):
        with torch.autocast("cpu", torch.bfloat16):
            clips.append(vae.decode(part * std + mean).float())
    return ((torch.cat(clips).clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 4, 1).numpy()


def contact_sheet(clips, path, every=4, columns=4, zoom=1):
    """PNG of every fourth frame of each clip, one clip a strip, `columns` strips side by side."""
    import numpy as np
    from PIL import Image

    strips = [np.concatenate([np.pad(frame, ((1, 1), (1, 1), (0, 0))) for frame in clip[::every]], axis=1)
              for clip in clips]
    while len(strips) % columns:
        strips.append(np.zeros_like(strips[0]))
    rows = [np.concatenate([np.pad(strip, ((1, 1), (2, 2), (0, 0)), constant_values=0.5) for strip in strips[i : i + columns]], axis=1)
            for i in range(0, len(strips), columns)]
    image = Image.fromarray((np.concatenate(rows) * 255 + 0.5).astype(np.uint8))
    image.resize((image.width * zoom, image.height * zoom), Image.NEAREST).save(path)
