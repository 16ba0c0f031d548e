"""The Wan video transformer (text to video) with its original parameter names and free sizes."""

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
    def __init__(self, dim):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RmsNorm(dim), RmsNorm(dim)

    def forward(self, x, context, rotation=None, bias=None):
        split = lambda y: y.view(y.shape[0], y.shape[1], -1, HEAD_WIDTH).transpose(1, 2)
        q, k, v = split(self.norm_q(self.q(x))), split(self.norm_k(self.k(context))), split(self.v(context))
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        logits = (q @ k.transpose(2, 3)).float() * HEAD_WIDTH**-0.5
        out = torch.softmax(logits if bias is None else logits + bias, dim=-1).to(v.dtype) @ v
        return self.o(out.transpose(1, 2).flatten(2))


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
    def __init__(self, dim, ffn):
        super().__init__()
        self.self_attn, self.cross_attn = Attention(dim), Attention(dim)
        self.norm3 = nn.LayerNorm(dim, eps=1e-6)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn), nn.GELU(approximate="tanh"), nn.Linear(ffn, dim))
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(self, x, time, context, rotation, bias):
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.modulation + time).chunk(6, dim=1)
        y = modulate(x, shift1, scale1)
        x = x + self.self_attn(y, y, rotation) * gate1
        x = x + self.cross_attn(self.norm3(x), context, bias=bias)
        return x + self.ffn(modulate(x, shift2, scale2)) * gate2


def modulate(x, shift, scale):
    return F.layer_norm(x, (x.shape[-1],), eps=1e-6) * (1 + scale) + shift


class Head(nn.Module):
    def __init__(self, dim, out):
        super().__init__()
        self.head = nn.Linear(dim, out)
        self.modulation = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)

    def forward(self, x, time):
        shift, scale = (self.modulation + time.unsqueeze(1)).chunk(2, dim=1)
        return self.head(modulate(x, shift, scale))


class WanDit(nn.Module):
    def __init__(self, dim=256, ffn=512, layers=5, text_dim=128, channels=16):
        super().__init__()
        self.patch_embedding = nn.Conv3d(channels, dim, (1, 2, 2), stride=(1, 2, 2))
        self.text_embedding = nn.Sequential(nn.Linear(text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim))
        self.time_embedding = nn.Sequential(nn.Linear(FREQUENCIES, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList([Block(dim, ffn) for _ in range(layers)])
        self.head = Head(dim, 4 * channels)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.head.head.weight)
        for layer in (self.time_embedding[0], self.time_embedding[2], self.text_embedding[0], self.text_embedding[2]):
            nn.init.normal_(layer.weight, std=0.02 if layer in self.time_embedding else 0.06)

    def forward(self, x, timestep, context, lengths):
        """Velocity (noise - clip) of latents [B, 16, T, H, W] at timesteps [B] in 0..1000. `context` [B, keys, width]
        holds zeros beyond `lengths`; the zero rows up to 512 count as one key with a logit bias."""
        b, c, t, h, w = x.shape
        tokens = self.patch_embedding(x).flatten(2).transpose(1, 2)
        angles = timestep[:, None].float() * 10000.0 ** (-torch.arange(FREQUENCIES // 2) / (FREQUENCIES // 2))
        time = self.time_embedding(torch.cat((angles.cos(), angles.sin()), dim=1)).float()
        modulation = self.time_projection(time).float().unflatten(1, (6, -1))
        context = self.text_embedding(F.pad(context, (0, 0, 0, 1)))
        bias = padding_bias(lengths, context.shape[1])
        rotation = rotation_table(t, h // 2, w // 2)
        tokens = tokens.float()
        for block in self.blocks:
            tokens = block(tokens, modulation, context, rotation, bias)
        out = self.head(tokens, time).float()
        out = out.view(b, t, h // 2, w // 2, 2, 2, c)
        return out.permute(0, 6, 1, 2, 4, 3, 5).reshape(b, c, t, h, w)


def padding_bias(lengths, keys):
    position = torch.arange(keys)[None, :]
    bias = torch.full((len(lengths), keys), -math.inf).masked_fill(position < lengths[:, None], 0.0)
    padded = position == lengths[:, None]
    bias = torch.where(padded, torch.log(TEXT_KEYS - lengths.float())[:, None], bias)
    return bias[:, None, None, :]
