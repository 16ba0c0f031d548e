"""The Wan video transformer with its original parameter names and free sizes.

Text to video; image to video by extra input channels, with the image branch of Wan 2.1 (`image_width`) or without it
as in Wan 2.2 A14B; and timesteps of each latent frame, as the 5B model of Wan 2.2 takes them.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

HEAD_WIDTH = 128
TEXT_KEYS = 512
FREQUENCIES = 256


class RmsNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return F.rms_norm(x.float(), (x.shape[-1],), self.weight, 1e-6).to(x.dtype)


class Attention(nn.Module):
    """Attention to `context`; with `images` also, by keys and values of their own, to the picture's tokens."""

    def __init__(self, dim, images=False):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RmsNorm(dim), RmsNorm(dim)
        if images:
            self.k_img, self.v_img = nn.Linear(dim, dim), nn.Linear(dim, dim)
            self.norm_k_img = RmsNorm(dim)

    def forward(self, x, context, rotation=None, bias=None, image=None):
        q, k, v = split(self.norm_q(self.q(x))), split(self.norm_k(self.k(context))), split(self.v(context))
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        out = attend(q, k, v, bias)
        if image is not None:
            out = out + attend(q, split(self.norm_k_img(self.k_img(image))), split(self.v_img(image)))
        return self.o(out.transpose(1, 2).flatten(2))


def split(x):
    return x.view(x.shape[0], x.shape[1], -1, HEAD_WIDTH).transpose(1, 2)


def attend(q, k, v, bias=None):
    logits = (q @ k.transpose(2, 3)).float() * HEAD_WIDTH**-0.5
    return torch.softmax(logits if bias is None else logits + bias, dim=-1).to(v.dtype) @ v


def rotation_table(frames, height, width):
    """(cos, sin), each [tokens, 64]: 22 pairs turn with the frame, 21 with the row, 21 with the column."""
    angles = []
    grid = torch.meshgrid(torch.arange(frames), torch.arange(height), torch.arange(width), indexing="ij")
    for axis, size in zip(grid, (44, 42, 42)):
        omega = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angles.append(axis.reshape(-1, 1).double() * omega)
    angles = torch.cat(angles, dim=1)
    return angles.cos().float(), angles.sin().float()


def rotate(x, rotation):
    cos, sin = rotation
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2).to(x.dtype)


class Block(nn.Module):
    def __init__(self, dim, ffn, images=False):
        super().__init__()
        self.self_attn, self.cross_attn = Attention(dim), Attention(dim, images)
        self.norm3 = nn.LayerNorm(dim, eps=1e-6)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn), nn.GELU(approximate="tanh"), nn.Linear(ffn, dim))
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(self, x, time, context, rotation, bias, image=None):
        """`time` [B, 1 or tokens, 6, dim]."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.modulation + time).unbind(2)
        y = modulate(x, shift1, scale1)
        x = x + self.self_attn(y, y, rotation) * gate1
        x = x + self.cross_attn(self.norm3(x), context, bias=bias, image=image)
        return x + self.ffn(modulate(x, shift2, scale2)) * gate2


def modulate(x, shift, scale):
    return F.layer_norm(x, (x.shape[-1],), eps=1e-6) * (1 + scale) + shift


class Head(nn.Module):
    def __init__(self, dim, out):
        super().__init__()
        self.head = nn.Linear(dim, out)
        self.modulation = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)

    def forward(self, x, time):
        """`time` [B, 1 or tokens, dim]."""
        shift, scale = (self.modulation + time.unsqueeze(2)).unbind(2)
        return self.head(modulate(x, shift, scale))


class ImageEmbedding(nn.Module):
    """From the hidden states of the vision encoder to tokens of the transformer."""

    def __init__(self, width, dim):
        super().__init__()
        self.proj = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, dim),
                                  nn.LayerNorm(dim))

    def forward(self, hidden):
        return self.proj(hidden)


class WanDit(nn.Module):
    def __init__(self, dim=256, ffn=512, layers=5, text_dim=128, channels=16, out_channels=None, image_width=None):
        super().__init__()
        self.out_channels = out_channels or channels
        self.patch_embedding = nn.Conv3d(channels, dim, (1, 2, 2), stride=(1, 2, 2))
        self.text_embedding = nn.Sequential(nn.Linear(text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim))
        self.time_embedding = nn.Sequential(nn.Linear(FREQUENCIES, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        if image_width:
            self.img_emb = ImageEmbedding(image_width, dim)
        self.blocks = nn.ModuleList([Block(dim, ffn, bool(image_width)) for _ in range(layers)])
        self.head = Head(dim, 4 * self.out_channels)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.head.head.weight)
        for layer in (self.time_embedding[0], self.time_embedding[2], self.text_embedding[0], self.text_embedding[2]):
            nn.init.normal_(layer.weight, std=0.02 if layer in self.time_embedding else 0.06)

    def forward(self, x, timestep, context, lengths, image=None):
        """Velocity (noise - clip) of latents [B, channels, T, H, W] at timesteps in 0..1000, [B] or, one for each
        latent frame, [B, T]. `context` [B, keys, width] holds zeros beyond `lengths`; the zero rows up to 512 count
        as one key with a logit bias. `image` [B, keys, image width] are hidden states of the vision encoder."""
        b, _, t, h, w = x.shape
        tokens = self.patch_embedding(x).flatten(2).transpose(1, 2)
        angles = timestep.reshape(b, -1, 1).float() * 10000.0 ** (-torch.arange(FREQUENCIES // 2) / (FREQUENCIES // 2))
        time = self.time_embedding(torch.cat((angles.cos(), angles.sin()), dim=2)).float()
        modulation = self.time_projection(time).float().unflatten(2, (6, -1))
        if time.shape[1] > 1:
            time, modulation = (y.repeat_interleave(tokens.shape[1] // t, dim=1) for y in (time, modulation))
        context = self.text_embedding(F.pad(context, (0, 0, 0, 1)))
        if image is not None:
            image = self.img_emb(image)
        bias = padding_bias(lengths, context.shape[1])
        rotation = rotation_table(t, h // 2, w // 2)
        tokens = tokens.float()
        for block in self.blocks:
            tokens = block(tokens, modulation, context, rotation, bias, image)
        out = self.head(tokens, time).float()
        out = out.view(b, t, h // 2, w // 2, 2, 2, self.out_channels)
        return out.permute(0, 6, 1, 2, 4, 3, 5).reshape(b, self.out_channels, t, h, w)


def padding_bias(lengths, keys):
    position = torch.arange(keys)[None, :]
    bias = torch.full((len(lengths), keys), -math.inf).masked_fill(position < lengths[:, None], 0.0)
    padded = position == lengths[:, None]
    bias = torch.where(padded, torch.log(TEXT_KEYS - lengths.float())[:, None], bias)
    return bias[:, None, None, :]
