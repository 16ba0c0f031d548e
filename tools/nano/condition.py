"""What a start image becomes for the video transformer: latents and mask channels, and pixels for the vision encoder."""

import numpy as np
import torch
from PIL import Image

from vae import wan_statistics

VISION_SIZE = 224
VISION_MEAN = (0.48145466, 0.4578275, 0.40821073)
VISION_STD = (0.26862954, 0.26130258, 0.27577711)


def as_pixels(frames):
    """numpy [count, frames, height, width, 3] in 0..1 as the autoencoders want it: [count, 3, frames, h, w], -1..1."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 4, 1, 2, 3) * 2 - 1


@torch.no_grad()
def start_latents(vae, images, frames):
    """Normalised latents [count, 16, T, h, w] of clips that show `images` [count, 3, 1, H, W] and then mid-grey."""
    clips = torch.zeros(len(images), 3, frames, *images.shape[3:])
    clips[:, :, :1] = images
    mean, std = wan_statistics(vae)
    with torch.autocast("cpu", torch.bfloat16):
        raw = vae.encode(clips)[0].float()
    return (raw - mean) / std


def with_mask(latents):
    """The 20 channels beside the noise: four of mask, 1 where the first latent frame is known, then `latents`."""
    mask = torch.zeros_like(latents[:, :4])
    mask[:, :, 0] = 1.0
    return torch.cat((mask, latents), dim=1)


def vision_pixels(image):
    """A start image [height, width, 3] in 0..1 as the vision encoder wants it: [3, 224, 224]; bicubic, the short side
    to 224, the middle of the rest, 8 bits, then the mean and deviation of CLIP."""
    height, width = image.shape[:2]
    scale = VISION_SIZE / min(height, width)
    size = (round(height * scale), round(width * scale))
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    pixels = torch.nn.functional.interpolate(pixels, size, mode="bicubic", antialias=True)[0]
    top, left = (size[0] - VISION_SIZE) // 2, (size[1] - VISION_SIZE) // 2
    pixels = pixels[:, top : top + VISION_SIZE, left : left + VISION_SIZE]
    pixels = (pixels * 255).round().div(255).clamp(0, 1)
    return (pixels - torch.tensor(VISION_MEAN).view(3, 1, 1)) / torch.tensor(VISION_STD).view(3, 1, 1)


def save_png(path, image):
    Image.fromarray((image * 255 + 0.5).astype(np.uint8)).save(path)
