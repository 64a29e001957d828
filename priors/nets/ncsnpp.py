"""NCSN++ and DDPM++ (Song et al. 2021, App. H), and DDPM (Ho et al. 2020), which is one of their settings.

A U-Net whose blocks are those of BigGAN, that resample inside, or of DDPM, that leave it to strided convolutions.
NCSN++ adds to DDPM++ FIR resampling, random Fourier features of log sigma for sines of a time, and a second,
coarse-to-fine way for the image: shrunken copies of the input enter each level ("skip": through a 1x1 convolution;
"residual": through a strided one whose result runs on beside the features), and each level may add to a growing
output ("skip"). Song's `progressive = "residual"` for the output is not here: with FIR it never ran in PyTorch, and
no published configuration has it.

The published networks return sigma times the score (VE, after a division by sigma that `priors.published` makes up
for) or the noise (VP); labels are log sigma, or 0 ... 999.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..score import pad_to_multiple
from .layers import (
    FilteredStride,
    FourierFeatures,
    GrowingConv,
    Leave,
    Level,
    NoiseEmbedding,
    ResidualBlock,
    Sinusoids,
    Stage,
    StridedConv,
    Style,
    downsample,
    upsample,
)


@dataclass(frozen=True)
class NCSNppConfig:
    """Shape of the network. The defaults are Song's NCSN++ for CIFAR-10; `attention` holds downsampling factors.

    `taps`: the FIR filter, (1, 1) for none. `rescale`: every sum is divided by sqrt(2). `centered`: images are in
    [-1, 1]; otherwise in [0, 1], and the network maps them.
    """

    channels: int = 3
    base: int = 128
    multipliers: tuple[int, ...] = (1, 2, 2, 2)
    blocks: int = 4
    attention: tuple[int, ...] = (2,)
    block: Literal["biggan", "ddpm"] = "biggan"
    embedding: Literal["fourier", "positional"] = "fourier"
    progressive_input: Literal["none", "skip", "residual"] = "residual"
    progressive_output: Literal["none", "skip"] = "none"
    taps: tuple[int, ...] = (1, 3, 3, 1)
    rescale: bool = True
    centered: bool = False

    def __post_init__(self) -> None:
        for field, known in {
            "block": ("biggan", "ddpm"),
            "embedding": ("fourier", "positional"),
            "progressive_input": ("none", "skip", "residual"),
            "progressive_output": ("none", "skip"),
        }.items():
            if getattr(self, field) not in known:
                raise ValueError(
                    f"ncsnpp: {field} is {getattr(self, field)!r}, expected one of {', '.join(known)}"
                )


class NCSNpp(nn.Module):
    """(B, C, H, W), (B,) -> (B, C, H, W)."""

    def __init__(self, config: NCSNppConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.base * m for m in config.multipliers]
        self.stride = 2 ** (len(widths) - 1)
        self.style = style = Style(
            4 * config.base, eps=1e-6, least=4, taps=config.taps, project=True, rescale=config.rescale
        )
        if config.embedding == "fourier":
            count = 2 * config.base
            self.embed = NoiseEmbedding(FourierFeatures(count), count, style.embedding)
        else:
            count = config.base
            self.embed = NoiseEmbedding(Sinusoids(count, endpoint=True), count, style.embedding)
        self.enter = nn.Conv2d(config.channels, config.base, 3, padding=1)

        c, skips, pyramid = config.base, [config.base], config.channels
        self.down, self.merge = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths):
            heads = int(2**i in config.attention)
            resample = self._resample("down", c) if i else None
            if i:
                skips.append(c)
                if config.progressive_input == "skip":
                    self.merge.append(nn.Conv2d(pyramid, c, 1))
                elif config.progressive_input == "residual":
                    self.merge.append(FilteredStride(pyramid, c, config.taps))
                    pyramid = c
            stages = []
            for _ in range(config.blocks):
                stages.append(Stage(c, width, style, heads))
                c = width
                skips.append(c)
            self.down.append(Level(resample, stages))
        self.middle = nn.ModuleList([Stage(c, c, style, heads=1), Stage(c, c, style)])
        self.up, self.leave = nn.ModuleList(), nn.ModuleList()
        for i, width in reversed(list(enumerate(widths))):
            resample = self._resample("up", c) if i < len(widths) - 1 else None
            stages = []
            for last in [False] * config.blocks + [True]:
                heads = int(last and 2**i in config.attention)
                stages.append(Stage(c + skips.pop(), width, style, heads))
                c = width
            self.up.append(Level(resample, stages))
            if i == 0 or config.progressive_output == "skip":
                self.leave.append(Leave(c, config.channels, style))

    def _resample(self, way: Literal["up", "down"], channels: int) -> nn.Module:
        if self.config.block == "biggan":
            return ResidualBlock(channels, channels, self.style, way)
        return GrowingConv(channels) if way == "up" else StridedConv(channels, far_side=True)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        x, (height, width) = pad_to_multiple(x, self.stride)
        e = self.embed(label)
        x = x if self.config.centered else 2 * x - 1
        h, pyramid = self.enter(x), x
        skips = [h]
        for i, level in enumerate(self.down):
            if level.resample is not None:
                h = level.resample(h, e)  # type: ignore[operator]
                if self.config.progressive_input == "skip":
                    pyramid = downsample(pyramid, self.config.taps)
                    h = h + self.merge[i - 1](pyramid)
                elif self.config.progressive_input == "residual":
                    pyramid = h = self.style.add(h, self.merge[i - 1](pyramid))
                skips.append(h)
            for stage in level.stages:  # type: ignore[union-attr]
                h = stage(h, e)
                skips.append(h)
        for stage in self.middle:
            h = stage(h, e)
        out: Tensor | None = None
        for i, level in enumerate(self.up):
            if level.resample is not None:
                h = level.resample(h, e)  # type: ignore[operator]
            for stage in level.stages:  # type: ignore[union-attr]
                h = stage(torch.cat([h, skips.pop()], 1), e)
            if self.config.progressive_output == "skip":
                image = self.leave[i](h)
                out = image if out is None else upsample(out, self.config.taps) + image
        if out is None:
            out = self.leave[0](h)
        return out[..., :height, :width]  # type: ignore[index]
