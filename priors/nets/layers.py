"""What the published U-Nets are made of: NCSN++ and DDPM++ (Song et al. 2021, App. H) and ADM (Dhariwal & Nichol
2021).

Both families are residual blocks of one form, told apart by a `Style`:

    h = conv(R(silu(norm x)));  h = norm(h) (1 + scale(e)) + shift(e)  or  norm(h + shift(e));  h = conv(silu(h))
    out = c (skip(R x) + h),    c = 1 or sqrt(1/2)

R resamples by two with a finite impulse response (FIR) filter, or is the identity; e is the noise embedding.
Filters act on each channel, zero beyond the border: (1, 1) is 2x2 averaging and nearest-neighbour growth; NCSN++
has (1, 3, 3, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Taps = tuple[int, ...]


def _filter(taps: Taps, x: Tensor) -> Tensor:  # (C, 1, k, k), sum 1
    line = torch.tensor(taps, dtype=x.dtype, device=x.device)
    return (torch.outer(line, line) / line.sum() ** 2).expand(x.shape[1], 1, -1, -1)


def downsample(x: Tensor, taps: Taps) -> Tensor:
    """(B, C, H, W) -> (B, C, H / 2, W / 2)."""
    if taps == (1, 1):
        return F.avg_pool2d(x, 2)
    return F.conv2d(x, _filter(taps, x), stride=2, padding=(len(taps) - 1) // 2, groups=x.shape[1])


def upsample(x: Tensor, taps: Taps) -> Tensor:
    """(B, C, H, W) -> (B, C, 2 H, 2 W)."""
    if taps == (1, 1):
        return F.interpolate(x, scale_factor=2, mode="nearest")
    padding = (len(taps) - 1) // 2
    return F.conv_transpose2d(x, 4 * _filter(taps, x), stride=2, padding=padding, groups=x.shape[1])


class FilteredStride(nn.Conv2d):
    """FIR filter, then a 3x3 convolution of stride 2: NCSN++'s residual input pyramid. Padded once, before both."""

    def __init__(self, c_in: int, c_out: int, taps: Taps) -> None:
        super().__init__(c_in, c_out, 3, stride=2)
        self.taps = taps

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        x = F.conv2d(x, _filter(self.taps, x), padding=len(self.taps) // 2, groups=x.shape[1])
        return super().forward(x)


class StridedConv(nn.Conv2d):
    """3x3 convolution of stride 2, padded on both sides (ADM) or on the far side only (DDPM)."""

    def __init__(self, channels: int, far_side: bool) -> None:
        super().__init__(channels, channels, 3, stride=2, padding=0 if far_side else 1)
        self.far_side = far_side

    def forward(self, x: Tensor, e: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(F.pad(x, (0, 1, 0, 1)) if self.far_side else x)


class GrowingConv(nn.Conv2d):
    """Nearest-neighbour growth by two, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(upsample(x, (1, 1)))


class Sinusoids(nn.Module):
    """(B,) label -> (B, 2 n): sines and cosines of the frequencies 10000^(-k/n), k < n; over n - 1 with `endpoint`."""

    def __init__(self, features: int, endpoint: bool) -> None:
        super().__init__()
        self.count, self.endpoint = features // 2, endpoint

    def forward(self, label: Tensor) -> Tensor:  # in float32, whatever the weights are
        rate = math.log(10000) / (self.count - self.endpoint)
        steps = torch.arange(self.count, dtype=torch.float32, device=label.device)
        phase = label.float()[:, None] * torch.exp(-rate * steps)
        return torch.cat([phase.sin(), phase.cos()], 1)


class FourierFeatures(nn.Module):
    """(B,) label -> (B, 2 n): sines and cosines of n random frequencies (Tancik et al. 2020), fixed once drawn."""

    frequencies: Tensor

    def __init__(self, features: int, scale: float = 16.0) -> None:
        super().__init__()
        self.register_buffer("frequencies", scale * torch.randn(features // 2))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FourierFeatures:
        exact = self.frequencies
        super()._apply(fn, recurse)  # a bfloat16 network keeps float32 phases: they reach hundreds of turns
        self.frequencies = exact.to(self.frequencies.device)
        return self

    def forward(self, label: Tensor) -> Tensor:
        phase = label.float()[:, None] * self.frequencies[None] * 2 * math.pi
        return torch.cat([phase.sin(), phase.cos()], 1)


class NoiseEmbedding(nn.Module):
    """(B,) label -> (B, width), with the SiLU that every block would apply first."""

    def __init__(self, features: Sinusoids | FourierFeatures, count: int, width: int) -> None:
        super().__init__()
        self.features = features
        self.first, self.second = nn.Linear(count, width), nn.Linear(width, width)

    def forward(self, label: Tensor) -> Tensor:
        h = self.features(label).to(self.first.weight.dtype)
        return F.silu(self.second(F.silu(self.first(h))))


@dataclass(frozen=True)
class Style:
    """What tells the families' blocks apart.

    `embedding`: width of e. `eps`, `least`: GroupNorm's epsilon and the fewest channels of a group (32 groups at
    most). `scale_shift`: e scales and shifts, or only shifts. `project`: the skip of a resampling block has a
    convolution even where the width stays. `rescale`: c = sqrt(1/2).
    """

    embedding: int
    eps: float
    least: int
    taps: Taps = (1, 1)
    scale_shift: bool = False
    project: bool = False
    rescale: bool = False

    def norm(self, channels: int) -> nn.GroupNorm:
        return nn.GroupNorm(min(32, channels // self.least), channels, eps=self.eps)

    def add(self, x: Tensor, h: Tensor) -> Tensor:
        return (x + h) * math.sqrt(0.5) if self.rescale else x + h


class ResidualBlock(nn.Module):
    """(B, c_in, H, W), (B, embedding) -> (B, c_out, H, W), resampled by two where `resample` says so."""

    def __init__(
        self, c_in: int, c_out: int, style: Style, resample: Literal["up", "down"] | None = None
    ) -> None:
        super().__init__()
        self.style, self.resample = style, resample
        self.norm1 = style.norm(c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.noise = nn.Linear(style.embedding, c_out * (2 if style.scale_shift else 1))
        self.norm2 = style.norm(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        projects = c_in != c_out or (style.project and resample is not None)
        self.skip = nn.Conv2d(c_in, c_out, 1) if projects else nn.Identity()

    def _resampled(self, x: Tensor) -> Tensor:
        if self.resample is None:
            return x
        return (upsample if self.resample == "up" else downsample)(x, self.style.taps)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        h = self.conv1(self._resampled(F.silu(self.norm1(x))))
        noise = self.noise(e)[:, :, None, None]
        if self.style.scale_shift:
            scale, shift = noise.chunk(2, 1)
            h = self.norm2(h) * (1 + scale) + shift
        else:
            h = self.norm2(h + noise)
        return self.style.add(self.skip(self._resampled(x)), self.conv2(F.silu(h)))


class Attention(nn.Module):
    """Self-attention over the pixels; rows of `qkv` are ordered (q, k, v) x heads x channels of a head."""

    def __init__(self, channels: int, heads: int, style: Style) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"attention: {channels} channels do not split into {heads} heads")
        self.heads, self.style = heads, style
        self.norm = style.norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, height, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, height * width)
        q, k, v = qkv.transpose(-1, -2).unbind(1)  # (b, heads, pixels, channels)
        h = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(b, c, height, width)
        return self.style.add(x, self.out(h))


class Stage(nn.Module):
    """A residual block and the attention that may follow it (heads = 0: none)."""

    def __init__(self, c_in: int, c_out: int, style: Style, heads: int = 0) -> None:
        super().__init__()
        self.block = ResidualBlock(c_in, c_out, style)
        self.attention = Attention(c_out, heads, style) if heads else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        return self.attention(self.block(x, e))


class Level(nn.Module):
    """One resolution: how it is reached from the level before (`resample`; none at the first), then its stages."""

    def __init__(self, resample: nn.Module | None, stages: list[Stage]) -> None:
        super().__init__()
        self.resample = resample
        self.stages = nn.ModuleList(stages)


class Leave(nn.Module):
    """GroupNorm, SiLU, 3x3 convolution to the image's channels."""

    def __init__(self, c_in: int, c_out: int, style: Style) -> None:
        super().__init__()
        self.norm, self.conv = style.norm(c_in), nn.Conv2d(c_in, c_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.silu(self.norm(x)))
