"""What every sampler shares: the noise, the grids of times, the count of network evaluations.

One random generator per image: an image is a function of its own seed and never of the batch it was drawn in.

A grid is an argument of every sampler: descending times t of an SDE, or levels sigma / alpha (sde.py), which
`level_times` turns into times of any SDE.

    uniform_times    uniform in t                        Song et al. 2021 (`uniform_levels`: its levels)
    karras_levels    uniform in sigma^(1 / rho)          Karras et al. 2022, eq. 5
    log_snr_levels   uniform in log(alpha² / sigma²)     Song & Ermon 2019 (a geometric sequence), Lu et al. 2022
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from ..score import Prior
from ..sde import SDE


class Samples(NamedTuple):
    """Images (B, C, H, W) in network units, and the network evaluations that each took."""

    x: Tensor
    nfe: int


class NoiseSource(Protocol):
    """What a step draws its noise from."""

    def like(self, x: Tensor) -> Tensor:
        """Noise of the shape of x, (B, ...)."""
        ...


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


class Tempered:
    """`noise` times `temperature`."""

    def __init__(self, noise: NoiseSource, temperature: float) -> None:
        self.noise, self.temperature = noise, temperature

    def like(self, x: Tensor) -> Tensor:
        return self.temperature * self.noise.like(x)


class Counted:
    """A prior with its network evaluations counted."""

    def __init__(self, prior: Prior) -> None:
        self.prior, self.channels, self.intensity = prior, prior.channels, prior.intensity
        self.evaluations = 0

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        self.evaluations += 1
        return self.prior.denoise(x, sigma)


def item_seeds(seed: int, item: int, first: int, count: int) -> list[int]:
    """Seeds of samples first ... first + count - 1 of an item: functions of (seed, item, sample) only."""
    return [
        int.from_bytes(hashlib.sha256(f"{seed}/{item}/{sample}".encode()).digest()[:7], "little")
        for sample in range(first, first + count)
    ]


Level = TypeVar("Level", float, Tensor)


def karras_levels(steps: int, sigma_max: Level, sigma_min: float, rho: float = 7.0) -> list[Level]:
    """`steps` noise levels from sigma_max, a number or one for each item, down to sigma_min, denser at the low end
    (Karras et al. 2022, eq. 5)."""
    if steps == 1:
        return [sigma_max]
    ends = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return [(ends[0] + i / (steps - 1) * (ends[1] - ends[0])) ** rho for i in range(steps)]


def log_snr_levels(steps: int, sigma_max: float, sigma_min: float) -> list[float]:
    """`steps` noise levels from sigma_max down to sigma_min, each the same fraction of the one before."""
    if steps == 1:
        return [sigma_max]
    return [sigma_max * (sigma_min / sigma_max) ** (i / (steps - 1)) for i in range(steps)]


def level_times(levels: Sequence[float], sde: SDE) -> Tensor:
    """The times at which `sde` has these levels sigma / alpha, float64."""
    return sde.time(torch.tensor(levels, dtype=torch.float64))


def uniform_times(steps: int, sde: SDE, sigma_min: float = 0.01) -> Tensor:
    """`steps` times from 1 down to where the level is sigma_min, float64. (The paper ends VP and sub-VP at 1e-3: for
    sub-VP that is the level 1e-4, where a score in float32 is rounding error.)"""
    last = float(level_times([sigma_min], sde))
    return torch.linspace(1, last, steps, dtype=torch.float64)


def uniform_levels(steps: int, start: float, stop: float, sde: SDE, power: float = 1.0) -> list[float]:
    """`steps` noise levels from start to stop, at times t of `sde` in [1e-5, 1] of which t^power is uniform."""
    first, last = level_times([start, stop], sde).clamp(1e-5, 1).tolist()
    t = torch.linspace(first**power, last**power, steps, dtype=torch.float64) ** (1 / power)
    return (sde.sigma(t) / sde.alpha(t)).tolist()


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
