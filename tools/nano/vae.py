"""The Wan 2.1 video autoencoder, with its original parameter names and a base width that is free.

Whole clips pass at once. This equals the chunk-by-chunk passes with a feature cache that engines use:
frame 0 takes no part in the temporal resampling, later frames see zero history before frame 1 on the way up.
Tensors are [batch, channels, frames, height, width]; pixels in -1..1.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

LATENT_CHANNELS = 16
STAGE_MULTIPLIERS = (1, 2, 4, 4)
TEMPORAL_DOWN = (False, True, True)
RESIDUAL_BLOCKS = 2

# The latent statistics of the real Wan 2.1 autoencoder, by which every engine normalises latents.
WAN_MEAN = (-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
            0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921)
WAN_STD = (2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
           3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160)


class CausalConv3d(nn.Conv3d):
    """A 3-D convolution that sees only the present and the past: time is padded in front alone."""

    def forward(self, x):
        time_pad = 2 * self.padding[0]
        weight = self.weight
        if time_pad and x.shape[2] == 1 and self.stride[0] == 1:  # single frames meet the newest tap only
            weight = weight[:, :, -1:]
        elif time_pad:
            x = F.pad(x, (0, 0, 0, 0, time_pad, 0))
        return F.conv3d(x, weight, self.bias, self.stride, (0, self.padding[1], self.padding[2]))


class UnitRms(torch.autograd.Function):
    """x / sqrt(mean of x^2 over the channels), with a backward pass of few steps."""

    @staticmethod
    def forward(ctx, x):
        inverse = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32)
        inverse = (x.shape[1] ** 0.5 / inverse.clamp_min(1e-12)).to(x.dtype)
        out = x * inverse
        ctx.save_for_backward(out, inverse)
        return out

    @staticmethod
    def backward(ctx, grad):
        out, inverse = ctx.saved_tensors
        along = (grad * out).mean(dim=1, keepdim=True)
        return torch.addcmul(grad, out, along, value=-1).mul_(inverse)


class RmsNorm(nn.Module):
    def __init__(self, dim, images):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim, *((1,) * (2 if images else 3))))

    def forward(self, x):
        return UnitRms.apply(x) * self.gamma.to(x.dtype)


class ResidualBlock(nn.Module):
    def __init__(self, dim_in, dim_out):
        super().__init__()
        self.residual = nn.Sequential(
            RmsNorm(dim_in, images=False), nn.SiLU(), CausalConv3d(dim_in, dim_out, 3, padding=1),
            RmsNorm(dim_out, images=False), nn.SiLU(), nn.Identity(), CausalConv3d(dim_out, dim_out, 3, padding=1))
        self.shortcut = CausalConv3d(dim_in, dim_out, 1) if dim_in != dim_out else nn.Identity()
        with torch.no_grad():
            self.residual[6].weight.mul_(0.1)

    def forward(self, x):
        return self.residual(x) + self.shortcut(x)


class AttentionBlock(nn.Module):
    """Self-attention with one head inside each frame."""

    def __init__(self, dim):
        super().__init__()
        self.norm = RmsNorm(dim, images=True)
        self.to_qkv = nn.Conv2d(dim, dim * 3, 1)
        self.proj = nn.Conv2d(dim, dim, 1)
        nn.init.zeros_(self.proj.weight)

    def forward(self, x):
        b, c, t, h, w = x.shape
        frames = x.transpose(1, 2).reshape(b * t, c, h, w)
        qkv = self.to_qkv(self.norm(frames)).reshape(b * t, 1, 3 * c, h * w).transpose(2, 3)
        out = F.scaled_dot_product_attention(*qkv.chunk(3, dim=-1))
        out = self.proj(out.squeeze(1).transpose(1, 2).reshape(b * t, c, h, w))
        return x + out.reshape(b, t, c, h, w).transpose(1, 2)


class Resample(nn.Module):
    def __init__(self, dim, up, temporal):
        super().__init__()
        self.up = up
        if up:
            self.resample = nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest-exact"),
                                          nn.Conv2d(dim, dim // 2, 3, padding=1))
            if temporal:
                self.time_conv = CausalConv3d(dim, dim * 2, (3, 1, 1), padding=(1, 0, 0))
        else:
            self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(dim, dim, 3, stride=2))
            if temporal:
                self.time_conv = CausalConv3d(dim, dim, (3, 1, 1), stride=(2, 1, 1))

    def forward(self, x):
        if self.up and hasattr(self, "time_conv"):
            x = self.double_frames(x)
        b, c, t, h, w = x.shape
        conv = self.resample[1]
        if self.up:
            x = x.unsqueeze(4).unsqueeze(6).expand(-1, -1, -1, -1, 2, -1, 2).reshape(b, c, t, 2 * h, 2 * w)
            x = F.conv3d(x, conv.weight.unsqueeze(2), conv.bias, padding=(0, 1, 1))
        else:
            x = F.conv3d(F.pad(x, (0, 1, 0, 1)), conv.weight.unsqueeze(2), conv.bias, stride=(1, 2, 2))
            if hasattr(self, "time_conv") and t > 1:
                x = torch.cat([x[:, :, :1], self.time_conv(x)], dim=2)
        return x

    def double_frames(self, x):
        if x.shape[2] == 1:
            return x
        rest = x[:, :, 1:]
        rest = F.conv3d(F.pad(rest, (0, 0, 0, 0, 2, 0)), self.time_conv.weight, self.time_conv.bias)
        b, c2, t, h, w = rest.shape
        rest = rest.reshape(b, 2, c2 // 2, t, h, w).permute(0, 2, 3, 1, 4, 5).reshape(b, c2 // 2, 2 * t, h, w)
        return torch.cat([x[:, :, :1], rest], dim=2)


class Encoder3d(nn.Module):
    def __init__(self, base):
        super().__init__()
        dims = [base] + [base * m for m in STAGE_MULTIPLIERS]
        self.conv1 = CausalConv3d(3, dims[0], 3, padding=1)
        layers = []
        for i, (dim_in, dim_out) in enumerate(zip(dims[:-1], dims[1:])):
            for j in range(RESIDUAL_BLOCKS):
                layers.append(ResidualBlock(dim_in if j == 0 else dim_out, dim_out))
            if i < len(TEMPORAL_DOWN):
                layers.append(Resample(dim_out, up=False, temporal=TEMPORAL_DOWN[i]))
        self.downsamples = nn.Sequential(*layers)
        last = dims[-1]
        self.middle = nn.Sequential(ResidualBlock(last, last), AttentionBlock(last), ResidualBlock(last, last))
        self.head = nn.Sequential(RmsNorm(last, images=False), nn.SiLU(),
                                  CausalConv3d(last, 2 * LATENT_CHANNELS, 3, padding=1))

    def forward(self, x):
        return self.head(self.middle(self.downsamples(self.conv1(x))))


class Decoder3d(nn.Module):
    def __init__(self, base):
        super().__init__()
        multipliers = STAGE_MULTIPLIERS[::-1]
        dims = [base * m for m in (multipliers[0],) + multipliers]
        self.conv1 = CausalConv3d(LATENT_CHANNELS, dims[0], 3, padding=1)
        first = dims[0]
        self.middle = nn.Sequential(ResidualBlock(first, first), AttentionBlock(first), ResidualBlock(first, first))
        layers = []
        for i, (dim_in, dim_out) in enumerate(zip(dims[:-1], dims[1:])):
            if i > 0:
                dim_in //= 2
            for j in range(RESIDUAL_BLOCKS + 1):
                layers.append(ResidualBlock(dim_in if j == 0 else dim_out, dim_out))
            if i < len(TEMPORAL_DOWN):
                layers.append(Resample(dim_out, up=True, temporal=TEMPORAL_DOWN[::-1][i]))
        self.upsamples = nn.Sequential(*layers)
        self.head = nn.Sequential(RmsNorm(dims[-1], images=False), nn.SiLU(), CausalConv3d(dims[-1], 3, 3, padding=1))

    def forward(self, x):
        return self.head(self.upsamples(self.middle(self.conv1(x))))


class WanVae(nn.Module):
    wan_mean, wan_std = WAN_MEAN, WAN_STD

    def __init__(self, base):
        super().__init__()
        self.encoder = Encoder3d(base)
        self.conv1 = CausalConv3d(2 * LATENT_CHANNELS, 2 * LATENT_CHANNELS, 1)
        self.conv2 = CausalConv3d(LATENT_CHANNELS, LATENT_CHANNELS, 1)
        self.decoder = Decoder3d(base)

    def encode(self, pixels):
        """Raw latent mean and log variance of clips; T frames give (T - 1) / 4 + 1 latent frames."""
        mean, log_variance = self.conv1(self.encoder(pixels)).chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)

    def decode(self, latents):
        """Pixels of raw (not normalised) latents."""
        return self.decoder(self.conv2(latents))

    def reset_time_taps(self):
        """Before the first clips: convolutions look at the present alone, temporal resampling repeats frames."""
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, CausalConv3d) and module.kernel_size == (3, 3, 3):
                    module.weight[:, :, :2].mul_(0.1)
            for module in self.modules():
                if isinstance(module, Resample) and hasattr(module, "time_conv"):
                    weight = module.time_conv.weight
                    weight.mul_(0.1)
                    channels = weight.shape[1]
                    for row in range(weight.shape[0]):
                        weight[row, row % channels, -1] += 1.0
                    module.time_conv.bias.zero_()


def wan_statistics(vae):
    """Channel mean and deviation of the real autoencoder of the same generation, [1, channels, 1, 1, 1]."""
    shape = (1, len(vae.wan_mean), 1, 1, 1)
    return torch.tensor(vae.wan_mean).view(shape), torch.tensor(vae.wan_std).view(shape)


def rescale_latents(vae, mean, std):
    """Rewrites the two 1x1 convolutions so that raw latents of channel mean `mean` and deviation `std` get the
    real Wan statistics. Decoded pixels stay the same."""
    wan_mean = torch.tensor(vae.wan_mean, dtype=torch.float64)
    ratio = torch.tensor(vae.wan_std, dtype=torch.float64) / std.double()
    mean = mean.double()
    z = len(mean)
    with torch.no_grad():
        weight, bias = vae.conv1.weight.double(), vae.conv1.bias.double()
        weight[:z] *= ratio.view(-1, 1, 1, 1, 1)
        bias[:z] = (bias[:z] - mean) * ratio + wan_mean
        bias[z:] += 2 * ratio.log()
        vae.conv1.weight.copy_(weight)
        vae.conv1.bias.copy_(bias)
        weight, bias = vae.conv2.weight.double(), vae.conv2.bias.double()
        bias += weight[:, :, 0, 0, 0] @ (mean - wan_mean / ratio)
        weight /= ratio.view(1, -1, 1, 1, 1)
        vae.conv2.weight.copy_(weight)
        vae.conv2.bias.copy_(bias)
