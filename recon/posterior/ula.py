"""pULA, the preconditioned unadjusted Langevin algorithm (Blumenthal, Holliber, Tamir & Uecker, arXiv 2512.05791). The
exact likelihood stands beside the diffused prior at every level; `inner` steps a level

    x <- x + tau M [score(x, s) + A^H (y - A x)] + sqrt(2 tau) M^½ z,        M = (A^H A + 1 / s²)^-1

As M [score + A^H (y - A x)] = u - x with u the data step from D(x, s), and M (A^H n + z / s) has the covariance M, a
step is one draw of the data step with perturbed terms and the noise times sqrt(2 / tau):

    x <- (1 - tau) x + tau u,      u drawn around D(x, s)

and at the end D(x, s_N). NFE = steps x inner + 1. No annealed likelihood, no step length to tune: the curvature of
neither term is above that of M. Published (`ULA.paper()`, `--method ula-paper`) with 100 geometric levels from 10 to
0.01, one step of tau = 0.5 at each, begun with a draw around noise. tau = 1 is twice too wide where the data decide,
tau -> 0 exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...priors.sampling.loop import NoiseSource, log_snr_levels
from ..options import Space
from .descent import FIRST_LEVEL, Descent
from .posed import Posed


@dataclass(frozen=True)
class ULA(Descent):
    """Langevin dynamics preconditioned by the data; NFE = steps x inner + 1.

    Attributes:
        inner: Langevin steps a level.
        tau: their length.
        cg: conjugate gradient steps of each.
    """

    name = "ula"
    line = "Langevin dynamics preconditioned by the data"
    reference = "Blumenthal et al., 2025"
    uncertainty = "right in the limit"
    space: ClassVar[Space] = {"tau": (0.05, 0.8), "sigma_max": FIRST_LEVEL}
    suite = ("steps=25",)

    steps: int = 100
    sigma_max: float = 2.0
    inner: int = 4
    tau: float = 0.4
    cg: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            self.inner >= 1 and 0 < self.tau <= 1 and self.cg >= 1, "inner >= 1, tau in (0, 1], cg >= 1"
        )

    @property
    def nfe(self) -> int:
        return self.steps * self.inner + 1

    @classmethod
    def paper(cls, **settings: Any) -> PaperULA:
        return PaperULA(**settings)

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        D = x
        for _ in range(self.inner):
            D = posed.denoise(x, s)
            u = posed.draw(D, s**2, self.cg, noise, temperature=(2 / self.tau) ** 0.5)
            x = (1 - self.tau) * x + self.tau * u
        return x, D if s_next else posed.denoise(x, s)


@dataclass(frozen=True)
class PaperULA(ULA):
    """100 levels, one step at each, no last denoising: NFE = steps x inner."""

    name = "ula-paper"
    line = "pULA as published: 100 levels of one step"
    space: ClassVar[Space] = {}
    suite = ("",)

    sigma_max: float = 10.0
    inner: int = 1
    tau: float = 0.5
    cg: int = 10

    @property
    def nfe(self) -> int:
        return self.steps * self.inner

    def levels(self) -> list[float]:
        return super().levels() if self.sde else log_snr_levels(self.steps, self.sigma_max, self.sigma_min)

    def begin(self, posed: Posed, s: float, noise: NoiseSource) -> Tensor:
        return posed.draw(torch.zeros_like(posed.initial), s**2, self.cg, noise)

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        for _ in range(self.inner):
            u = posed.draw(posed.denoise(x, s), s**2, self.cg, noise, temperature=(2 / self.tau) ** 0.5)
            x = (1 - self.tau) * x + self.tau * u
        return x, x
