"""A classifier of noisy images, for guidance: the half of our U-Net (unet.py) that goes down, the mean over the pixels
of its coarsest level, and two layers that see this mean and the noise. The last one starts at zero: every class equally
likely. What is averaged is not normalised, since how bright an image is may be what tells its class.

Any size; sizes that the stride does not divide are padded inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..score import pad_to_multiple
from .unet import Block, NoiseEmbedding


@dataclass(frozen=True)
class ClassifierConfig:
    """Shape of the network: `base` channels at the finest level, times `multipliers` below, one block a level."""

    base: int = 32
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    stem: int = 2
    embedding: int = 128


class ClassifierNetwork(nn.Module):
    """(B, C, H, W), (B,) -> logits (B, K)."""

    def __init__(self, channels: int, classes: int, config: ClassifierConfig) -> None:
        super().__init__()
        widths = [config.base * m for m in config.multipliers]
        self.stem, self.stride = config.stem, config.stem * 2 ** (len(widths) - 1)
        self.embed = NoiseEmbedding(config.embedding)
        self.enter = nn.Conv2d(channels * config.stem**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            Block(before, width, config.embedding)
            for before, width in zip([widths[0], *widths], widths, strict=False)
        )
        self.shrink = nn.ModuleList(nn.Conv2d(w, w, 3, stride=2, padding=1) for w in widths[:-1])
        self.join = nn.Linear(widths[-1] + config.embedding, config.embedding)
        self.leave = nn.Linear(config.embedding, classes)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        x, _ = pad_to_multiple(x, self.stride)
        e = self.embed(label)
        h = self.enter(F.pixel_unshuffle(x, self.stem))
        for level, block in enumerate(self.down):
            h = block(h, e)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        return self.leave(F.silu(self.join(torch.cat([h.mean((2, 3)), e], 1))))
