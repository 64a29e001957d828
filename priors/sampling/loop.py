"""What every sampler shares: the time grid, the noise, the loop.

One random generator per image: an image is a function of its own seed and never of the batch it was drawn in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..score import Prior


class ItemNoise:
    """Standard normal noise with a generator per item of the batch, drawn on the CPU so that devices agree."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def like(self, x: Tensor) -> Tensor:
        """z ~ N(0, I) of the shape of x, (B, ...) real or complex (then each part has unit variance)."""
        if len(self.generators) != x.shape[0]:
            raise ValueError(
                f"got a batch of {x.shape[0]} for {len(self.generators)} seeds; give one seed per item"
            )
        if x.is_complex():
            return torch.view_as_complex(self.like(torch.view_as_real(x)))
        return torch.stack([torch.randn(x.shape[1:], generator=g) for g in self.generators]).to(x)


def item_seeds(seed: int, item: int, first: int, count: int) -> list[int]:
    """Seeds of samples first ... first + count - 1 of an item: functions of (seed, item, sample) only."""
    return [
        int.from_bytes(hashlib.sha256(f"{seed}/{item}/{sample}".encode()).digest()[:7], "little")
        for sample in range(first, first + count)
    ]


def karras_levels(steps: int, sigma_max: float, sigma_min: float, rho: float = 7.0) -> list[float]:
    """`steps` noise levels from sigma_max down to sigma_min, denser at the low end (Karras et al. 2022, eq. 5)."""
    if steps == 1:
        return [sigma_max]
    ends = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return [(ends[0] + i / (steps - 1) * (ends[1] - ends[0])) ** rho for i in range(steps)]


@torch.no_grad()
def sample_images(
    prior: Prior,
    shape: tuple[int, int],
    seeds: Sequence[int],
    steps: int = 40,
    sigma_max: float = 20.0,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Unconditional images, (len(seeds), C, H, W) in network units on the prior's `device`: DDIM with full re-noising
    (eta = 1) on a Karras grid, `steps` network evaluations."""
    levels = [*karras_levels(steps, sigma_max, 0.01), 0.0]
    noise = ItemNoise(seeds)
    x = sigma_max * noise.like(torch.zeros(len(seeds), prior.channels, *shape, device=device))
    for sigma, lower in pairwise(levels):
        mean = prior.denoise(x, sigma)
        # ancestral: the part of the noise that the next level keeps, and fresh noise for the rest
        keep = lower**2 / sigma**2
        x = mean + keep * (x - mean) + (lower**2 * (1 - keep)) ** 0.5 * noise.like(x)
    return x
