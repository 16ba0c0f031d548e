"""The Wan 2.2 video autoencoder (4 x 16 x 16, 48 channels), with its original parameter names and free base widths.

Beside the 2.1 autoencoder: pixels are folded 2x2 into channels first, and every stage adds its input again, averaged
over what it shrinks or repeated over what it grows. Whole clips pass at once, as in `vae.py`.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from vae import AttentionBlock, CausalConv3d, ResidualBlock, RmsNorm

LATENT_CHANNELS = 48
PATCH = 2
STAGE_MULTIPLIERS = (1, 2, 4, 4)
TEMPORAL_DOWN = (False, True, True)
RESIDUAL_BLOCKS = 2

# The latent statistics of the real Wan 2.2 autoencoder, by which every engine normalises latents.
WAN_MEAN = (-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
            0.157, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
            -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.123, -0.0313, -0.1649, 0.0117, 0.0723,
            -0.2839, -0.2083, -0.052, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667)
WAN_STD = (0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.499, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
           0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
           0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
           0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.06, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744)


def fold(pixels):
    """[B, 3, T, 2h, 2w] to [B, 12, T, h, w]; the column inside a patch is the outer of its two factors."""
    b, c, t, h, w = pixels.shape
    x = pixels.view(b, c, t, h // PATCH, PATCH, w // PATCH, PATCH)
    return x.permute(0, 1, 6, 4, 2, 3, 5).reshape(b, c * PATCH**2, t, h // PATCH, w // PATCH)


def unfold(x):
    b, c, t, h, w = x.shape
    x = x.view(b, c // PATCH**2, PATCH, PATCH, t, h, w).permute(0, 1, 4, 5, 3, 6, 2)
    return x.reshape(b, c // PATCH**2, t, h * PATCH, w * PATCH)


def shrink(x, channels, times, sides):
    """Mean of groups of neighbours so that `channels` remain; time is filled up with zeros in front."""
    x = F.pad(x, (0, 0, 0, 0, -x.shape[2] % times, 0))
    b, c, t, h, w = x.shape
    x = x.view(b, c, t // times, times, h // sides, sides, w // sides, sides).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(b, channels, -1, t // times, h // sides, w // sides).mean(dim=2)


def grow(x, channels, times, sides):
    """Repeats values over `times` frames, rows and columns so that `channels` remain; the copies of frame 0 before
    its last are dropped."""
    factor = times * sides * sides
    x = x.repeat_interleave(channels * factor // x.shape[1], dim=1)
    b, _, t, h, w = x.shape
    x = x.view(b, channels, times, sides, sides, t, h, w).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(b, channels, t * times, h * sides, w * sides)[:, :, times - 1 :]


class Down(nn.Module):
    """Halves height and width, and the frames after the first when `temporal`."""

    def __init__(self, dim, temporal):
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(dim, dim, 3, stride=2))
        if temporal:
            self.time_conv = CausalConv3d(dim, dim, (3, 1, 1), stride=(2, 1, 1))

    def forward(self, x):
        conv = self.resample[1]
        x = F.conv3d(F.pad(x, (0, 1, 0, 1)), conv.weight.unsqueeze(2), conv.bias, stride=(1, 2, 2))
        if hasattr(self, "time_conv") and x.shape[2] > 1:
            x = torch.cat([x[:, :, :1], self.time_conv(x)], dim=2)
        return x


class Up(nn.Module):
    """Doubles height and width, and the frames after the first when `temporal`."""

    def __init__(self, dim, temporal):
        super().__init__()
        self.resample = nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest-exact"), nn.Conv2d(dim, dim, 3, padding=1))
        if temporal:
            self.time_conv = CausalConv3d(dim, dim * 2, (3, 1, 1), padding=(1, 0, 0))

    def forward(self, x):
        if hasattr(self, "time_conv") and x.shape[2] > 1:
            rest = self.time_conv(x[:, :, 1:])
            b, c2, t, h, w = rest.shape
            rest = rest.reshape(b, 2, c2 // 2, t, h, w).permute(0, 2, 3, 1, 4, 5).reshape(b, c2 // 2, 2 * t, h, w)
            x = torch.cat([x[:, :, :1], rest], dim=2)
        b, c, t, h, w = x.shape
        x = x.unsqueeze(4).unsqueeze(6).expand(-1, -1, -1, -1, 2, -1, 2).reshape(b, c, t, 2 * h, 2 * w)
        return F.conv3d(x, self.resample[1].weight.unsqueeze(2), self.resample[1].bias, padding=(0, 1, 1))


class DownStage(nn.Module):
    def __init__(self, dim_in, dim_out, temporal, last):
        super().__init__()
        self.shape = (dim_out, 2 if temporal else 1, 1 if last else 2)
        layers = [ResidualBlock(dim_in if j == 0 else dim_out, dim_out) for j in range(RESIDUAL_BLOCKS)]
        self.downsamples = nn.Sequential(*layers, *([] if last else [Down(dim_out, temporal)]))

    def forward(self, x):
        return self.downsamples(x) + shrink(x, *self.shape)


class UpStage(nn.Module):
    def __init__(self, dim_in, dim_out, temporal, last):
        super().__init__()
        self.shape = None if last else (dim_out, 2 if temporal else 1, 2)
        layers = [ResidualBlock(dim_in if j == 0 else dim_out, dim_out) for j in range(RESIDUAL_BLOCKS + 1)]
        self.upsamples = nn.Sequential(*layers, *([] if last else [Up(dim_out, temporal)]))

    def forward(self, x):
        out = self.upsamples(x)
        return out + grow(x, *self.shape) if self.shape else out


class Encoder3d(nn.Module):
    def __init__(self, base):
        super().__init__()
        dims = [base] + [base * m for m in STAGE_MULTIPLIERS]
        self.conv1 = CausalConv3d(3 * PATCH**2, dims[0], 3, padding=1)
        temporal = TEMPORAL_DOWN + (False,)
        self.downsamples = nn.Sequential(*(DownStage(dims[i], dims[i + 1], temporal[i], i == 3) for i in range(4)))
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
        temporal = TEMPORAL_DOWN[::-1] + (False,)
        self.upsamples = nn.Sequential(*(UpStage(dims[i], dims[i + 1], temporal[i], i == 3) for i in range(4)))
        self.head = nn.Sequential(RmsNorm(dims[-1], images=False), nn.SiLU(),
                                  CausalConv3d(dims[-1], 3 * PATCH**2, 3, padding=1))

    def forward(self, x):
        return self.head(self.upsamples(self.middle(self.conv1(x))))


class WanVae22(nn.Module):
    wan_mean, wan_std = WAN_MEAN, WAN_STD

    def __init__(self, encoder_base, decoder_base):
        super().__init__()
        self.encoder = Encoder3d(encoder_base)
        self.conv1 = CausalConv3d(2 * LATENT_CHANNELS, 2 * LATENT_CHANNELS, 1)
        self.conv2 = CausalConv3d(LATENT_CHANNELS, LATENT_CHANNELS, 1)
        self.decoder = Decoder3d(decoder_base)

    def encode(self, pixels):
        """Raw latent mean and log variance of clips; T frames give (T - 1) / 4 + 1 latent frames."""
        mean, log_variance = self.conv1(self.encoder(fold(pixels))).chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)

    def decode(self, latents):
        """Pixels of raw (not normalised) latents."""
        return unfold(self.decoder(self.conv2(latents)))

    def reset_time_taps(self):
        """Before the first clips: convolutions look at the present alone, temporal resampling repeats frames."""
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, CausalConv3d) and module.kernel_size == (3, 3, 3):
                    module.weight[:, :, :2].mul_(0.1)
                if isinstance(module, (Up, Down)) and hasattr(module, "time_conv"):
                    weight = module.time_conv.weight
                    weight.mul_(0.1)
                    for row in range(weight.shape[0]):
                        weight[row, row % weight.shape[1], -1] += 1.0
                    module.time_conv.bias.zero_()
