"""The vision encoder of CLIP with the names of Comfy's `clip_vision_h.safetensors`; a small width, heads of 80."""

import torch
import torch.nn as nn
import torch.nn.functional as F

WIDTH, LAYERS, FEED_FORWARD, PROJECTION = 80, 4, 240, 32
HEAD_WIDTH = 80  # as in ViT-H, so that the number of heads follows from the width
IMAGE, PATCH = 224, 14
TOKENS = 1 + (IMAGE // PATCH) ** 2
EPSILON = 1e-5


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x):
        split = lambda y: y.view(*y.shape[:2], -1, HEAD_WIDTH).transpose(1, 2)
        q, k, v = split(self.q_proj(x)), split(self.k_proj(x)), split(self.v_proj(x))
        out = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(WIDTH, FEED_FORWARD), nn.Linear(FEED_FORWARD, WIDTH)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(WIDTH, eps=EPSILON), nn.LayerNorm(WIDTH, eps=EPSILON)
        self.self_attn, self.mlp = Attention(), FeedForward()

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Embeddings(nn.Module):
    def __init__(self):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(WIDTH) * 0.05)
        self.patch_embedding = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH, bias=False)
        self.position_embedding = nn.Embedding(TOKENS, WIDTH)
        nn.init.normal_(self.position_embedding.weight, std=0.05)

    def forward(self, pixels):
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.class_embedding.expand(len(pixels), 1, -1).to(patches.dtype), patches), dim=1)
        return tokens + self.position_embedding.weight


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Layer() for _ in range(LAYERS)])


class VisionModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = Embeddings()
        self.pre_layrnorm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.encoder = Layers()
        self.post_layernorm = nn.LayerNorm(WIDTH, eps=EPSILON)


class ClipVision(nn.Module):
    def __init__(self):
        super().__init__()
        self.vision_model = VisionModel()
        self.visual_projection = nn.Linear(WIDTH, PROJECTION, bias=False)

    def forward(self, pixels):
        """Of `pixels` [B, 3, 224, 224]: the hidden states before the last layer [B, 257, WIDTH], which the video
        transformer reads, and the projection of the class token [B, PROJECTION]."""
        x = self.vision_model.pre_layrnorm(self.vision_model.embeddings(pixels))
        for layer in self.vision_model.encoder.layers[:-1]:
            x = layer(x)
        last = self.vision_model.encoder.layers[-1](x)
        return x, self.visual_projection(self.vision_model.post_layernorm(last[:, 0]))
