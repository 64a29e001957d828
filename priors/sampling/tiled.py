"""A prior of large images that looks at one tile at a time, so that the memory of an evaluation is that of a tile.

    D(x, s) = sum_k w_k(pixel) D(x on tile k, s) / sum_k w_k(pixel)

Tiles overlap and w falls linearly to their borders, so that no seam is seen. A network of convolutions sees, in the
middle of a tile, what it sees in the whole image, but for what it takes over the whole picture (group norms,
attention); one that was trained on crops with their position (Wang et al. 2023) is told where each tile lies. Levels
that a prior gives to a coarse one (subspace.py) are small enough whole.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..intensity import Intensity
from ..nets.unet import whole_image
from ..score import Prior
from ..subspace import SubspacePrior, by_level


class Tiled:
    """`prior` in tiles.

    Args:
        prior: of images of any size.
        tile: side of a tile, pixels; smaller images are one tile.
        overlap: of neighbours, at least, pixels; a quarter of the tile by default.

    Raises:
        ValueError: no tile, or an overlap that is not below it.
    """

    def __init__(self, prior: Prior, tile: int, overlap: int | None = None) -> None:
        overlap = tile // 4 if overlap is None else overlap
        if tile < 1 or not 0 <= overlap < tile:
            raise ValueError(
                f"got tiles of {tile} pixels with an overlap of {overlap}, expected 0 <= overlap < tile"
            )
        self.prior, self.tile, self.overlap = prior, tile, overlap
        self.channels: int = prior.channels
        self.intensity: Intensity | None = prior.intensity
        network = getattr(prior, "network", None)
        self.asks_where = bool(getattr(getattr(network, "config", None), "position", False))

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """D(x, sigma), (B, C, H, W)."""
        if isinstance(self.prior, SubspacePrior):
            return by_level(x, sigma, self.prior.above, self.in_tiles, self.prior.denoise_coarse)
        return self.in_tiles(x, sigma)

    def in_tiles(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """D(x, sigma) tile by tile, (B, C, H, W)."""
        total, weights = torch.zeros_like(x), torch.zeros_like(x[:1, :1])
        where = whole_image((x.shape[2], x.shape[3]), x.device) if self.asks_where else None
        for rows in self.spans(x.shape[2]):
            for columns in self.spans(x.shape[3]):
                part = x[..., rows, columns]
                given = () if where is None else (where[:, rows, columns].expand(len(x), -1, -1, -1),)
                w = self._ramp(part.shape[2], x)[:, None] * self._ramp(part.shape[3], x)
                total[..., rows, columns] += w * self.prior.denoise(part, sigma, *given)
                weights[..., rows, columns] += w
        return total / weights

    def spans(self, length: int) -> list[slice]:
        """The fewest tiles that cover `length` pixels with at least the overlap, evenly spread."""
        if length <= self.tile:
            return [slice(0, length)]
        last = length - self.tile
        count = 1 + math.ceil(last / (self.tile - self.overlap))
        starts = [round(k * last / (count - 1)) for k in range(count)]
        return [slice(start, start + self.tile) for start in starts]

    def _ramp(self, n: int, like: Tensor) -> Tensor:
        """Weights along one side of a tile, (n,): from next to 0 at its ends to 1 where the overlap ends."""
        pixel = torch.arange(n, dtype=like.dtype, device=like.device)
        return ((torch.minimum(pixel, n - 1 - pixel) + 0.5) / (self.overlap + 0.5)).clamp(max=1)
