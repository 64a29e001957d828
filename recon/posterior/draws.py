"""Draws: the descent of DDS (Chung, Lee & Ye 2024) with a draw where it has an optimum, after DAPS (Zhang et al. 2025).

At noise level s_i (s = sigma / alpha):

    D = D(x, s_i)                                                        Tweedie
    C = s_i² √v,  v a map of the image's uncertainty (covariance.py)
    m = argmin_u ½ |A u - y|² + ½ |u - D|²_{1/(gamma C)}                 M steps of conjugate gradients
    u ~ N(m, (1/(width C) + A^H A)^-1)                                   perturb and optimise, M steps
    x = u + s_{i+1} z                                                    all noise renewed

If the law of x_0 given x were N(D, C), u with gamma = width = 1 would be a draw of p(x_0 | x, y), and the marginal of
every level that of the posterior (DAPS, Prop. 1). A network is further off than its own covariance says, and not alike
at all frequencies: so what is fitted to the data (gamma) and what is drawn (width) are two numbers. The second alone
makes the spread; it was found where the spread is as large as the error on validation patients
(docs/lab/2026-11-27-draws.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...priors.sampling.loop import NoiseSource, karras_levels
from ..options import Space
from .covariance import SteinDiagonal
from .method import PosteriorMethod
from .posed import START, Posed

# docs/lab/2026-11-27-draws-settings.md
WIDTH = {False: 1.1, True: 1.8}  # of real, of complex images
LEAST_GAMMA = 1.5


@dataclass(frozen=True)
class Draws(PosteriorMethod):
    """Draws of the posterior whose spread is measured to be right; NFE = steps.

    Attributes:
        steps: network evaluations.
        gamma: variance that the mean's data step gives to the denoised image, in units of C; auto: half the number of
            pixels to a measured number, 1.5 at least.
        width: variance that is drawn, in units of C; auto: 1.1 for CT, 1.8 for MRI.
        cg: conjugate gradient steps of each of the two; auto: 3 where they are preconditioned (CT), else 6 (MRI).
        sigma_start: the first level, of noise added to a least-squares reconstruction, in network units; auto: 0.5,
            and 4 where an angle is missing, which least squares leave too far off.
        sigma_min: the last level.
    """

    name = "draws"
    line = "DDS with draws for optima: a spread as large as the error; the default"
    reference = "this package, after Zhang et al., CVPR 2025"
    uncertainty = "as large as the error on validation patients"
    space: ClassVar[Space] = {"gamma": (0.5, 16.0), "width": (0.5, 4.0), "sigma_start": (0.1, 2.0)}

    steps: int = 50
    gamma: float | None = None
    width: float | None = None
    cg: int | None = None
    sigma_start: float | None = None
    sigma_min: float = 0.005

    def __post_init__(self) -> None:
        self.require(
            self.steps >= 1 and all(v is None or v > 0 for v in (self.gamma, self.width)),
            "steps >= 1, gamma > 0, width > 0; gamma and width may be left out",
        )
        self.require(self.cg is None or self.cg >= 1, "cg >= 1, or none given")
        first = START if self.sigma_start is None else self.sigma_start
        self.require(0 < self.sigma_min < first, "0 < sigma_min < sigma_start")

    def automatic(self, posed: Posed) -> dict[str, Any]:
        gamma = round(float(self._gamma(posed).mean()), 3)
        start, cg = posed.first_level(self.sigma_start), posed.iterations(self.cg)
        return {"gamma": gamma, "width": self._width(posed), "cg": cg, "sigma_start": start}

    def _gamma(self, posed: Posed) -> Tensor:
        """(B, 1, ..., 1)."""
        if self.gamma is None:
            return (posed.undersampling / 2).clamp_min(LEAST_GAMMA)
        return torch.full_like(posed.undersampling, self.gamma)

    def _width(self, posed: Posed) -> float:
        return WIDTH[posed.initial.is_complex()] if self.width is None else self.width

    def trajectory(self, posed: Posed, noise: NoiseSource) -> Iterator[Tensor]:
        levels = karras_levels(self.steps, posed.first_level(self.sigma_start), self.sigma_min)
        gamma, width, cg = self._gamma(posed), self._width(posed), posed.iterations(self.cg)
        u, z, diagonal = posed.initial, noise.like(posed.initial), SteinDiagonal()
        for s in levels:
            D = posed.denoise(u + s * z, s)
            C = s**2 * diagonal(D, u, z, s)
            m = posed.data_step(D, gamma * C, cg)
            u = m + posed.draw.around(D, width * C, cg, noise)
            z = noise.like(u)
            yield u
