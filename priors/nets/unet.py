"""A fast U-Net for scans of any size.

Three choices make it fast on CPUs and GPUs alike (docs/priors.md): a 2x2 pixel-unshuffle stem, so that a 256² image
costs what a 128² one does; convolutions only, which bfloat16 with channels-last memory runs 3x faster than float32; one
block a level. Sizes that the stride does not divide are padded inside and cropped again.

It learns from crops and runs on whole images. Two options tell it where it is: `position`, the place of each pixel in
the whole image as two more input channels (Wang et al. 2023, Patch Diffusion), and `attention` over the pixels of the
coarsest level, 16 times coarser than the image.

Block: GroupNorm, SiLU, 3x3 convolution, scale and shift by the noise label, SiLU, 3x3 convolution, skip
(Dhariwal & Nichol 2021); the last convolution of the network starts at zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..score import pad_to_multiple
from .layers import Attention, Style


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the network: `base` channels at the finest level, times `multipliers` below, `blocks` a level;
    `position` channels at the input; attention in the middle with `attention` heads (0: none)."""

    channels: int = 1
    base: int = 64
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 1
    stem: int = 2
    embedding: int = 256
    position: bool = False
    attention: int = 0


def _groups(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(8, channels), channels)


class NoiseEmbedding(nn.Module):
    """(B,) noise label -> (B, width): sines and cosines of geometrically spaced frequencies, then two layers."""

    def __init__(self, width: int, features: int = 64) -> None:
        super().__init__()
        self.features = features
        self.first, self.second = nn.Linear(features, width), nn.Linear(width, width)

    def forward(
        self, label: Tensor
    ) -> Tensor:  # float32 whatever the weights are: the phases need its precision
        frequencies = math.pi * 2 ** torch.linspace(-2, 5, self.features // 2, device=label.device)
        phase = label.float()[:, None] * frequencies  # (B, features / 2)
        h = torch.cat([phase.sin(), phase.cos()], 1).to(self.first.weight.dtype)
        return F.silu(self.second(F.silu(self.first(h))))


class Block(nn.Module):
    def __init__(self, c_in: int, c_out: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = _groups(c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.scale_shift = nn.Linear(embedding, 2 * c_out)
        self.norm2 = _groups(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()
        nn.init.normal_(self.conv2.weight, std=1e-3)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, e: Tensor) -> Tensor:  # (B, c_in, h, w), (B, embedding)
        scale, shift = self.scale_shift(e)[:, :, None, None].chunk(2, 1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return self.skip(x) + h


def whole_image(shape: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """Where each pixel of an image lies: (2, H, W), row and column from the centre in halves of the longer side."""
    axes = [(torch.arange(n, device=device) - (n - 1) / 2) / (max(shape) / 2) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


class UNet(nn.Module):
    """(B, C, H, W), (B,) -> (B, C, H, W). With `position`: of crops, where they lie, (B, 2, H, W); a batch without is
    one of whole images."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        widths = [config.base * m for m in config.multipliers]
        stem, pixels = config.stem, config.channels * config.stem**2
        seen = pixels + (2 * stem**2 if config.position else 0)
        self.config = config
        self.stride = stem * 2 ** (len(widths) - 1)
        self.embed = NoiseEmbedding(config.embedding)
        self.enter = nn.Conv2d(seen, widths[0], 3, padding=1)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        c = widths[0]
        for level, width in enumerate(widths):
            self.down.append(self._level(c, width, config))
            c = width
            if level < len(widths) - 1:
                self.shrink.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
        self.middle = Block(c, c, config.embedding)
        self.attend = nn.Identity()
        if config.attention:
            self.attend = Attention(c, config.attention, Style(config.embedding, eps=1e-5, least=8))
            nn.init.zeros_(self.attend.out.weight)
            nn.init.zeros_(self.attend.out.bias)  # type: ignore[arg-type]
        self.up = nn.ModuleList()
        for width in reversed(widths):
            self.up.append(self._level(c + width, width, config))
            c = width
        self.leave = nn.Sequential(_groups(c), nn.SiLU(), nn.Conv2d(c, pixels, 3, padding=1))
        nn.init.zeros_(self.leave[2].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.leave[2].bias)  # type: ignore[arg-type]

    @staticmethod
    def _level(c_in: int, c_out: int, config: UNetConfig) -> nn.ModuleList:
        return nn.ModuleList(
            Block(c_in if i == 0 else c_out, c_out, config.embedding) for i in range(config.blocks)
        )

    def forward(self, x: Tensor, label: Tensor, position: Tensor | None = None) -> Tensor:
        if self.config.position:
            if position is None:
                position = whole_image((x.shape[2], x.shape[3]), x.device).expand(x.shape[0], -1, -1, -1)
            x = torch.cat([x, position.to(x.dtype)], 1)
        x, (height, width) = pad_to_multiple(x, self.stride)
        e = self.embed(label)
        h = self.enter(F.pixel_unshuffle(x, self.config.stem))
        skips = []
        for level, blocks in enumerate(self.down):
            for block in blocks:  # type: ignore[union-attr]
                h = block(h, e)
            skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        h = self.attend(self.middle(h, e))
        for level, blocks in enumerate(self.up):
            if level:
                h = F.interpolate(h, scale_factor=2, mode="nearest")
            h = torch.cat([h, skips.pop()], 1)
            for block in blocks:  # type: ignore[union-attr]
                h = block(h, e)
        return F.pixel_shuffle(self.leave(h), self.config.stem)[..., :height, :width]
