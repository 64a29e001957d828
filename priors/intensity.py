"""The map between physical units and a prior's network units, owned by the prior's card:

    physical = scale * x + offset.

Nobody else scales. Wrong scaling is the commonest way to fool a prior (docs/priors.md). A map has two sides: `affine`
for the scan at hand, whose images are in 1/mm or in units of its own, and `to_network`, `to_physical` for images as
they are stored: HU, grey levels, magnitudes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from ..modality import Modality


class Intensity(Protocol):
    """
    Attributes:
        modality: of the images.
        units: of stored images, as a volume of them says it.
        window: physical values that pictures show as black and as white.
        grey_level: what a step is, in words.
        step: width of a grey level of stored images, in network units.
        span: of the values, in network units: the data range of a PSNR.
        sigma_min: the least noise at which a likelihood asks the prior, in network units; below it lies a step.
    """

    modality: ClassVar[Modality]
    units: ClassVar[str]
    window: ClassVar[tuple[float, float]]
    grey_level: ClassVar[str]
    sigma_min: ClassVar[float]

    @property
    def step(self) -> float: ...

    @property
    def span(self) -> float: ...

    def affine(self, image: Tensor, water: float | None = None) -> tuple[Tensor, float]:
        """(scale (B,), offset) in the units of `image` (B, H, W), a classical reconstruction of the scan at hand."""
        ...

    def to_network(self, image: np.ndarray, window: tuple[float, float]) -> np.ndarray:
        """A stored image ([3,] H, W) in network units, float32 or complex64, cut off at the window of the prior's card
        (HU and grey levels; of magnitudes in network units)."""
        ...

    def to_physical(self, x: Tensor) -> Tensor:
        """Images in network units (B, ...) as they are stored."""
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
    modality: ClassVar = Modality.CT
    units: ClassVar = "HU"
    window: ClassVar = (-1000.0, 1000.0)
    grey_level: ClassVar = "1 HU"
    sigma_min: ClassVar = 0.01

    def __post_init__(self) -> None:
        if not (self.hu_per_unit > 0 and self.mu_water > 0):
            raise ValueError(
                f"attenuation: got hu_per_unit {self.hu_per_unit}, mu_water {self.mu_water}; expected numbers above 0"
            )

    def affine(self, image: Tensor, water: float | None = None) -> tuple[Tensor, float]:
        mu = water or self.mu_water
        scale = torch.full((image.shape[0],), mu * self.hu_per_unit / 1000, device=image.device)
        return scale, mu * (1 + self.hu_at_zero / 1000)

    def to_network(self, image: np.ndarray, window: tuple[float, float]) -> np.ndarray:
        return (np.clip(image, *window) - self.hu_at_zero) / self.hu_per_unit

    def to_physical(self, x: Tensor) -> Tensor:
        return self.hu_per_unit * x + self.hu_at_zero

    @property
    def step(self) -> float:
        return 1 / self.hu_per_unit

    @property
    def span(self) -> float:
        return 2000 / self.hu_per_unit


@dataclass(frozen=True)
class GreyLevels:
    """Pictures of 256 grey levels a channel: x = (level - at_zero) / per_unit. The defaults make [0, 255] [-1, 1]; 255
    and 0 make it [0, 1]."""

    per_unit: float = 127.5
    at_zero: float = 127.5  # what network 0 is
    modality: ClassVar = Modality.RGB
    units: ClassVar = "RGB, 0 to 255"
    window: ClassVar = (0.0, 255.0)
    grey_level: ClassVar = "1 in 256"
    sigma_min: ClassVar = 1e-3  # a level is 0.008 or 0.004 network units wide

    def __post_init__(self) -> None:
        if not self.per_unit > 0:
            raise ValueError(f"grey-levels: got per_unit {self.per_unit}, expected a number above 0")

    def affine(self, image: Tensor, water: float | None = None) -> tuple[Tensor, float]:
        return torch.full((image.shape[0],), self.per_unit, device=image.device), self.at_zero

    def to_network(self, image: np.ndarray, window: tuple[float, float]) -> np.ndarray:
        image = np.clip(image.astype(np.float32), *window)
        return (image - np.float32(self.at_zero)) / np.float32(self.per_unit)

    def to_physical(self, x: Tensor) -> Tensor:
        return (self.per_unit * x + self.at_zero).round().clamp(0, 255).to(torch.uint8)

    @property
    def step(self) -> float:
        return 1 / self.per_unit

    @property
    def span(self) -> float:
        return 255 / self.per_unit


@dataclass(frozen=True)
class RobustMaximum:
    """MRI: x = image / (factor * quantile of |image|), real or complex; arbitrary receiver units go away, and images
    that are drawn have none: `to_physical` leaves them as they are."""

    quantile: float = 0.998
    factor: float = 1.25
    modality: ClassVar = Modality.MR
    units: ClassVar = "magnitude"
    window: ClassVar = (0.0, 1.0)
    grey_level: ClassVar = "0.001 of the prior's scale"
    sigma_min: ClassVar = 0.01
    step: ClassVar = 1e-3
    span: ClassVar = 2.0

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

    def to_network(self, image: np.ndarray, window: tuple[float, float]) -> np.ndarray:
        scale, _ = self.affine(torch.from_numpy(image)[None])
        image = image / np.float32(scale)
        if not np.iscomplexobj(image):
            return np.clip(image, *window)
        return image * np.minimum(1, window[1] / np.maximum(np.abs(image), 1e-12))

    def to_physical(self, x: Tensor) -> Tensor:
        return x
