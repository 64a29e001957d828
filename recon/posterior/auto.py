"""The most PSNR from 20 evaluations: DDS (dds.py) made faster. An estimate, not a sample.

    D = D(x, s_i)                                                        Tweedie
    u_i = argmin_u ½ |A u - y|²_W + ½ |u - D|²_{1/C},  C = gamma s_i² √v       twice as far as DDS solves it
    x = u_i + beta (u_i - u_{i-1}) + kappa s_{i+1} z                     heavy ball (Polyak 1964)

DDS with all noise renewed is a fixed-point iteration u -> argmin(D(u + s z)) while s falls, and with few evaluations it
is cut before it has settled: momentum goes further along its way. The network is told level s of x, and what u lacks
counts towards it: kappa < 1 adds that much less noise. The levels begin lower; higher where real images have very few
measurements. All this costs spread, and DDS, whose outcome is a sample, does without. `KINDS` was found on validation
slices (docs/lab/2026-11-27-dds-settings.md: figures, and what failed).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ...priors.sampling.loop import NoiseSource, karras_levels
from ..options import Space
from .covariance import SteinDiagonal
from .method import PosteriorMethod
from .posed import Posed


class Kind(NamedTuple):
    """The iteration's numbers; gamma is the number of pixels to a measured number, `least_gamma` at least, and above
    `many` of them the first level rises in proportion."""

    beta: float
    kappa: float
    least_gamma: float
    sigma_min: float
    many: float


KINDS = {  # of real, of complex images; docs/lab/2026-11-27-dds-settings.md, "Few evaluations", "Very few views"
    False: Kind(0.3, 0.92, 2.0, 0.01, 8.0),
    True: Kind(0.45, 0.75, 3.5, 0.005, inf),
}


@dataclass(frozen=True)
class Auto(PosteriorMethod):
    """The module's iteration; NFE = steps.

    Attributes:
        steps: network evaluations.
        sigma_start: the first level, of noise added to a least-squares reconstruction (of few measurements more).
    """

    name = "auto"
    line = "DDS made faster for 20 evaluations: the best PSNR of so few, no sample"
    reference = "this package"
    uncertainty = "not a spread: one estimate"
    space: ClassVar[Space] = {"sigma_start": (0.1, 2.0)}

    steps: int = 20
    sigma_start: float = 0.35

    def __post_init__(self) -> None:
        last = max(kind.sigma_min for kind in KINDS.values())
        self.require(
            self.steps >= 1 and self.sigma_start > last,
            f"steps >= 1 and sigma_start > {last}, the last level",
        )

    def _start(self, posed: Posed) -> Tensor:
        """The first level of each item, (B, 1, ..., 1)."""
        return self.sigma_start * (posed.undersampling / KINDS[posed.initial.is_complex()].many).clamp_min(1)

    def automatic(self, posed: Posed) -> dict[str, Any]:
        return {"first_level": round(float(self._start(posed).mean()), 4)}

    def trajectory(self, posed: Posed, noise: NoiseSource) -> Iterator[Tensor]:
        kind = KINDS[posed.initial.is_complex()]
        gamma = posed.undersampling.clamp_min(kind.least_gamma)
        start = self._start(posed)
        levels = [*karras_levels(self.steps, start, kind.sigma_min), torch.zeros_like(start)]
        u = before = base = posed.initial
        fresh, z, diagonal = levels[0], noise.like(u), SteinDiagonal()
        for s, s_next in pairwise(levels):
            D = posed.denoise(base + fresh * z, s.flatten())
            C = gamma * s**2 * diagonal(D, base, z, fresh)
            u, before = posed.data_step(D, C, 2 * posed.data_step.enough), u
            base = u + kind.beta * (u - before)
            fresh, z = kind.kappa * s_next, noise.like(u)
            yield u
