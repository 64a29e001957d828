"""The map between physical units and a prior's network units, owned by the prior's card:

    physical = scale * x + offset.

Nobody else scales. Wrong scaling is the commonest way to fool a prior (docs/priors.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Intensity(Protocol):
    def affine(self, image: Tensor, water: float | None = None) -> tuple[Tensor, float]:
        """(scale (B,), offset) in the units of `image` (B, H, W), a classical reconstruction of the scan at hand."""
        ...


@dataclass(frozen=True)
class Attenuation:
    """CT: x = (HU - hu_at_zero) / hu_per_unit, HU = 1000 (mu / mu_water - 1). Images in 1/mm; `water` overrides the
    card's mu_water [1/mm], which depends on the tube's spectrum.

    A network that saw [0, 1] for -1000 to 1000 HU has hu_per_unit 2000, hu_at_zero -1000; one that saw [-1, 1] for the
    same, 1000 and 0.
    """

    hu_per_unit: float = 1000.0
    mu_water: float = 0.0193
    hu_at_zero: float = 0.0  # what network 0 is

    def __post_init__(self) -> None:
        if not (self.hu_per_unit > 0 and self.mu_water > 0):
            raise ValueError(
                f"attenuation: got hu_per_unit {self.hu_per_unit}, mu_water {self.mu_water}; expected numbers above 0"
            )

    def affine(self, image: Tensor, water: float | None = None) -> tuple[Tensor, float]:
        mu = water or self.mu_water
        scale = torch.full((image.shape[0],), mu * self.hu_per_unit / 1000, device=image.device)
        return scale, mu * (1 + self.hu_at_zero / 1000)


@dataclass(frozen=True)
class GreyLevels:
    """Pictures of 256 grey levels a channel: x = (level - at_zero) / per_unit. The defaults make [0, 255] [-1, 1]; 255
    and 0 make it [0, 1]."""

    per_unit: float = 127.5
    at_zero: float = 127.5  # what network 0 is

    def __post_init__(self) -> None:
        if not self.per_unit > 0:
            raise ValueError(f"grey-levels: got per_unit {self.per_unit}, expected a number above 0")

    def affine(self, image: Tensor, water: float | None = None) -> tuple[Tensor, float]:
        return torch.full((image.shape[0],), self.per_unit, device=image.device), self.at_zero


@dataclass(frozen=True)
class RobustMaximum:
    """MRI: x = image / (factor * quantile of |image|), real or complex; arbitrary receiver units go away."""

    quantile: float = 0.998
    factor: float = 1.25

    def __post_init__(self) -> None:
        if not (0 < self.quantile <= 1 and self.factor > 0):
            raise ValueError(
                f"robust-maximum: got quantile {self.quantile}, factor {self.factor}; expected a quantile in (0, 1] "
                "and a factor above 0"
            )

    def affine(self, image: Tensor, water: float | None = None) -> tuple[Tensor, float]:
        magnitude = image.abs().flatten(1)
        k = max(1, round(self.quantile * magnitude.shape[1]))
        scale = self.factor * magnitude.kthvalue(k, dim=1).values
        return scale.clamp_min(1e-12), 0.0
