"""ADM, the U-Net of guided diffusion (Dhariwal & Nichol 2021), which EDM calls DhariwalUNet.

Residual blocks with scale and shift by the noise label, attention at chosen resolutions on both sides of the U,
several heads, resampling inside blocks or by strided convolutions. With `learn_sigma` the output has twice the
channels: the noise, and the interpolation of the reverse process's variance (Nichol & Dhariwal 2021, eq. 15), which
`priors.published` leaves aside. Labels are steps 0 ... 999. Settings without scale and shift and with strided
convolutions are also the U-Net of diffusers (UNet2DModel), which the priors of DM4CT use.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..score import pad_to_multiple
from .layers import (
    GrowingConv,
    Leave,
    Level,
    NoiseEmbedding,
    ResidualBlock,
    Sinusoids,
    Stage,
    StridedConv,
    Style,
)


@dataclass(frozen=True)
class ADMConfig:
    """Shape of the network. The defaults are ADM for unconditional ImageNet 256²; `attention` holds downsampling
    factors.

    `heads` a level, or `head_channels` a head where it is 0. `block_resampling`: inside residual blocks, or by
    strided convolutions. `least`: the fewest channels of a group in GroupNorm (1 in guided diffusion, 4 in EDM).
    """

    channels: int = 3
    base: int = 256
    multipliers: tuple[float, ...] = (1, 1, 2, 2, 4, 4)
    blocks: int = 2
    attention: tuple[int, ...] = (8, 16, 32)
    heads: int = 0
    head_channels: int = 64
    scale_shift: bool = True
    block_resampling: bool = True
    learn_sigma: bool = True
    least: int = 1
    eps: float = 1e-5


class ADM(nn.Module):
    """(B, C, H, W), (B,) -> (B, C or 2 C, H, W)."""

    def __init__(self, config: ADMConfig) -> None:
        super().__init__()
        self.config = config
        widths = [int(config.base * m) for m in config.multipliers]
        self.stride = 2 ** (len(widths) - 1)
        self.style = style = Style(
            4 * config.base, eps=config.eps, least=config.least, scale_shift=config.scale_shift
        )
        self.embed = NoiseEmbedding(Sinusoids(config.base, endpoint=False), config.base, style.embedding)
        self.enter = nn.Conv2d(config.channels, widths[0], 3, padding=1)

        c, skips = widths[0], [widths[0]]
        self.down = nn.ModuleList()
        for i, width in enumerate(widths):
            resample = None
            if i:
                resample = self._shrink(c)
                skips.append(c)
            stages = []
            for _ in range(config.blocks):
                stages.append(Stage(c, width, style, self._heads(i, width)))
                c = width
                skips.append(c)
            self.down.append(Level(resample, stages))
        self.middle = nn.ModuleList([Stage(c, c, style, self._heads(None, c)), Stage(c, c, style)])
        self.up = nn.ModuleList()
        for i, width in reversed(list(enumerate(widths))):
            resample = self._grow(c) if i < len(widths) - 1 else None
            stages = []
            for _ in range(config.blocks + 1):
                stages.append(Stage(c + skips.pop(), width, style, self._heads(i, width)))
                c = width
            self.up.append(Level(resample, stages))
        self.leave = Leave(c, config.channels * (2 if config.learn_sigma else 1), style)

    def _heads(self, level: int | None, width: int) -> int:  # level None: the middle, which always attends
        if level is not None and 2**level not in self.config.attention:
            return 0
        return self.config.heads or max(1, width // self.config.head_channels)

    def _shrink(self, channels: int) -> nn.Module:
        if self.config.block_resampling:
            return ResidualBlock(channels, channels, self.style, "down")
        return StridedConv(channels, far_side=False)

    def _grow(self, channels: int) -> nn.Module:
        if self.config.block_resampling:
            return ResidualBlock(channels, channels, self.style, "up")
        return GrowingConv(channels)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        x, (height, width) = pad_to_multiple(x, self.stride)
        e = self.embed(label)
        h = self.enter(x)
        skips = [h]
        for level in self.down:
            if level.resample is not None:
                h = level.resample(h, e)  # type: ignore[operator]
                skips.append(h)
            for stage in level.stages:  # type: ignore[union-attr]
                h = stage(h, e)
                skips.append(h)
        for stage in self.middle:
            h = stage(h, e)
        for level in self.up:
            if level.resample is not None:
                h = level.resample(h, e)  # type: ignore[operator]
            for stage in level.stages:  # type: ignore[union-attr]
                h = stage(torch.cat([h, skips.pop()], 1), e)
        return self.leave(h)[..., :height, :width]
