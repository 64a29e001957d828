"""NCSN and NCSNv2 (Song & Ermon 2019, 2020): a RefineNet (Lin et al. 2017) with InstanceNorm++.

Residual stages shrink the image, the last two by dilated convolutions instead; refine blocks go back up, from the
coarsest: each takes the stage of its size and the block before, brings both to that size and adds them, then pools
the sum over ever wider windows. InstanceNorm++ gives each channel its place among the channels' means back:

    gamma (IN(x) + alpha (mean(x) - m) / sqrt(v + eps)) + beta,     m, v: mean and variance of the channels' means.

NCSN takes gamma, alpha, beta by the noise level's number, in its refine blocks too, and returns the score; NCSNv2
has one row for all levels and returns sigma times the score (published code divides by sigma; `priors.published`
does here).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..score import pad_to_multiple


@dataclass(frozen=True)
class NCSNv2Config:
    """Shape of the network. The defaults are NCSNv2 of 256² and above, `NCSNv2Deepest`.

    `levels`: the noise levels of NCSN; 0 is NCSNv2. `centered`: images are in [-1, 1]; otherwise in [0, 1], and the
    network maps them.
    """

    channels: int = 3
    base: int = 128
    multipliers: tuple[int, ...] = (1, 2, 2, 2, 4, 4)
    levels: int = 0
    centered: bool = False


class InstanceNormPlus(nn.Module):
    """`table` has a row (gamma, alpha, beta) a noise level, or one for all."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        row = torch.cat([torch.ones(2 * channels), torch.zeros(channels)])
        self.table = nn.Parameter(row.repeat(max(levels, 1), 1))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        rows = self.table
        if len(rows) > 1:
            rows = rows[label.round().long().clamp(0, len(rows) - 1)]
        gamma, alpha, beta = rows[:, :, None, None].chunk(3, 1)
        mean = x.mean((2, 3), keepdim=True)
        centre, spread = mean.mean(1, keepdim=True), mean.var(1, keepdim=True)
        place = (mean - centre) / torch.sqrt(spread + 1e-5)
        return gamma * (F.instance_norm(x, eps=1e-5) + alpha * place) + beta


def _conv(c_in: int, c_out: int, dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, padding=dilation, dilation=dilation, bias=bias)


class Residual(nn.Module):
    """(B, c_in, H, W) -> (B, c_out, H, W), or half the size with `pool`."""

    def __init__(
        self, c_in: int, c_out: int, levels: int, dilation: int = 1, pool: bool = False, enters: bool = False
    ) -> None:
        super().__init__()
        inner = c_in if enters else c_out
        self.pool = pool
        self.norm1, self.conv1 = InstanceNormPlus(c_in, levels), _conv(c_in, inner, dilation)
        self.norm2, self.conv2 = InstanceNormPlus(inner, levels), _conv(inner, c_out, dilation)
        self.skip: nn.Module = nn.Identity()
        if enters:
            self.skip = nn.Conv2d(c_in, c_out, 1) if pool else _conv(c_in, c_out, dilation)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        h = self.conv1(F.elu(self.norm1(x, label)))
        h = self.skip(x) + self.conv2(F.elu(self.norm2(h, label)))
        return F.avg_pool2d(h, 2) if self.pool else h


class ResidualUnits(nn.Module):
    """`units` times two convolutions and a sum."""

    def __init__(self, channels: int, units: int, levels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_conv(channels, channels, bias=False) for _ in range(2 * units))
        self.norms = nn.ModuleList(
            InstanceNormPlus(channels, levels) for _ in range(2 * units if levels else 0)
        )

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        for i in range(0, len(self.convs), 2):
            h = x
            for j in (i, i + 1):
                h = self.convs[j](F.elu(self.norms[j](h, label) if self.norms else h))
            x = x + h
        return x


class ChainedPooling(nn.Module):
    """Two rounds of a 5x5 pool and a convolution, each added to the sum: the maximum, or NCSN's mean."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_conv(channels, channels, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(InstanceNormPlus(channels, levels) for _ in range(2 if levels else 0))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        x = path = F.elu(x)
        for i, conv in enumerate(self.convs):
            averages = bool(self.norms)
            path = (
                F.avg_pool2d(self.norms[i](path, label), 5, 1, 2) if averages else F.max_pool2d(path, 5, 1, 2)
            )
            path = conv(path)
            x = x + path
        return x


class Fusion(nn.Module):
    """Inputs of any size -> their sum at the size of the first."""

    def __init__(self, widths: list[int], c_out: int, levels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_conv(width, c_out) for width in widths)
        self.norms = nn.ModuleList(InstanceNormPlus(width, levels) for width in widths if levels)

    def forward(self, inputs: list[Tensor], label: Tensor) -> Tensor:
        size = inputs[0].shape[-2:]
        total = torch.zeros((), dtype=inputs[0].dtype, device=inputs[0].device)
        for i, h in enumerate(inputs):
            h = self.convs[i](self.norms[i](h, label) if self.norms else h)
            total = total + F.interpolate(h, size=size, mode="bilinear", align_corners=True)
        return total


class Refine(nn.Module):
    def __init__(self, widths: list[int], c_out: int, levels: int, last: bool) -> None:
        super().__init__()
        self.adapt = nn.ModuleList(ResidualUnits(width, 2, levels) for width in widths)
        self.fuse = Fusion(widths, c_out, levels) if len(widths) > 1 else None
        self.pool = ChainedPooling(c_out, levels)
        self.out = ResidualUnits(c_out, 3 if last else 1, levels)

    def forward(self, inputs: list[Tensor], label: Tensor) -> Tensor:
        adapted = [adapt(h, label) for adapt, h in zip(self.adapt, inputs, strict=True)]
        h = self.fuse(adapted, label) if self.fuse is not None else adapted[0]
        return self.out(self.pool(h, label), label)


class NCSNv2(nn.Module):
    """(B, C, H, W), (B,) -> (B, C, H, W); the label, a level's number, counts in NCSN only."""

    def __init__(self, config: NCSNv2Config) -> None:
        super().__init__()
        self.config = config
        widths = [config.base * m for m in config.multipliers]
        depth, levels = len(widths), config.levels
        self.stride = 2 ** (depth - 3)
        self.enter = _conv(config.channels, config.base)
        self.stages = nn.ModuleList()
        c = config.base
        for i, width in enumerate(widths):
            dilation = {depth - 2: 2, depth - 1: 4}.get(i, 1)
            pool = 0 < i < depth - 2
            self.stages.append(
                nn.ModuleList(
                    [
                        Residual(c, width, levels, dilation, pool, enters=i > 0),
                        Residual(width, width, levels, dilation),
                    ]
                )
            )
            c = width
        self.refine = nn.ModuleList()
        before: list[int] = []
        for i in reversed(range(depth)):
            c = widths[max(i - 1, 0)]
            self.refine.append(Refine([widths[i], *before], c, levels, last=i == 0))
            before = [c]
        self.norm, self.leave = InstanceNormPlus(c, levels), _conv(c, config.channels)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        x, (height, width) = pad_to_multiple(x, self.stride)
        h = self.enter(x if self.config.centered else 2 * x - 1)
        features = []
        for stage in self.stages:
            for block in stage:  # type: ignore[union-attr]
                h = block(h, label)
            features.append(h)
        before: list[Tensor] = []
        for refine in self.refine:
            h = refine([features.pop(), *before], label)
            before = [h]
        return self.leave(F.elu(self.norm(h, label)))[..., :height, :width]
