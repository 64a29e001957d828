"""DDS, decomposed diffusion sampling (Chung, Lee & Ye, ICLR 2024, Alg. 1 and 2). The loop is
`DDS.trajectory`; `PaperDDS.step` is the paper's.

At noise level s_i (s = sigma / alpha, so the law of noise only chooses the levels):

    D = D(x, s_i)                                                        Tweedie
    C = gamma s_i² √v,  v a map of the image's uncertainty (covariance.py)
    u = argmin_u ½ |A u - y|²_W + ½ |u - D|²_{1/C}                       M steps of conjugate gradients
    x = u + s_{i+1} (sqrt(1 - eta²) (x - u) / s_i + eta z)               DDIM

The paper (`DDS.paper()`, `--method dds-paper`) has C constant, begins at noise alone and each data step at D, and
keeps (x - D) / s_i for the old noise. Here the data step weighs image against noise, s² against sigma_y², and corrects
where the denoised image is uncertain, at its edges more than in its plain parts. The less was measured, the further
off is what a network says in between, and the more the data count (`gamma`; docs/lab/2026-11-27-dds-settings.md). eta
= 1 (all noise renewed) is worth nearly 3 dB of PSNR at few evaluations and costs spread: 0.7 of the posterior's
standard deviation on a Gaussian prior with gamma = 1, where `ancestral` keeps it whole. The start is a least-squares
reconstruction plus noise of a moderate level instead of pure noise (CCDF, Chung et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...priors.sampling.loop import NoiseSource
from ...priors.sde import DDPM, SDE
from ..options import Space
from .covariance import SteinDiagonal
from .descent import Annealed, FromNoise, ancestral_std, noise_levels, renoise
from .posed import Posed
from .solver import proximal

LEAST_GAMMA = 2.0  # docs/lab/2026-11-27-dds-settings.md


@dataclass(frozen=True)
class DDS(Annealed):
    """Few conjugate gradient steps on the Tweedie estimate inside DDIM; NFE = steps.

    Attributes:
        steps: network evaluations.
        eta: stochasticity, 0 (deterministic) to 1 (all noise renewed at each level).
        ancestral: eta = sqrt(1 - s_{i+1}² / s_i²) at each level instead: a wider spread, of a worse mean.
        gamma: variance that the data step gives to the denoised image, in units of s²; auto: the number of pixels to
            a measured number, 2 at least.
        adaptive: let that variance follow the image (covariance.py); of all pixels the same otherwise, and for eta = 0.
        cg: conjugate gradient steps a level, begun at D plus the last level's u - D; auto: 3 where the data step is
            preconditioned (CT), else 6 (MRI).
        warm_start: start at `sigma_start` from least squares, not at `sigma_max` from noise.
        sigma_start: the first level of a warm start, in network units; auto: 0.5, and 4 where an angle is missing.
    """

    name = "dds"
    line = "few conjugate gradients inside DDIM, warm start"
    reference = "Chung, Lee & Ye, ICLR 2024"
    uncertainty = "too narrow"
    space: ClassVar[Space] = {"gamma": (0.25, 16.0), "sigma_start": (0.1, 2.0)}
    suite = ("steps=20", "")

    steps: int = 50
    sigma_min: float = 0.005
    eta: float = 1.0
    ancestral: bool = False
    gamma: float | None = None
    adaptive: bool = True
    cg: int | None = None
    warm_start: bool = True
    sigma_start: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            0 <= self.eta <= 1
            and (self.cg is None or self.cg >= 1)
            and (self.gamma is None or self.gamma > 0),
            "eta in [0, 1], cg >= 1, gamma > 0; cg and gamma may be left out",
        )

    @classmethod
    def paper(cls, **settings: Any) -> PaperDDS:
        return PaperDDS(**settings)

    def automatic(self, posed: Posed) -> dict[str, Any]:
        start = {"sigma_start": posed.first_level(self.sigma_start)} if self.warm_start else {}
        return {"cg": posed.iterations(self.cg), "gamma": round(float(self._gamma(posed).mean()), 3), **start}

    def _gamma(self, posed: Posed) -> Tensor:
        """(B, 1, ..., 1)."""
        if self.gamma is None:
            return posed.undersampling.clamp_min(LEAST_GAMMA)
        return torch.full_like(posed.undersampling, self.gamma)

    def trajectory(self, posed: Posed, noise: NoiseSource) -> Iterator[Tensor]:
        top = posed.first_level(self.sigma_start) if self.warm_start else self.sigma_max
        levels = [*noise_levels(self.steps, top, self.sigma_min, self.sde), 0.0]
        cg, gamma = posed.iterations(self.cg), self._gamma(posed)
        u = posed.initial if self.warm_start else torch.zeros_like(posed.initial)
        z, fresh, diagonal = noise.like(u), levels[0], SteinDiagonal()
        x = u + fresh * z
        for s, s_next in pairwise(levels):
            D = posed.denoise(x, s)
            C = gamma * s**2
            if self.adaptive and fresh:
                C = C * diagonal(D, u, z, fresh)
            u = posed.data_step(D, C, cg)
            fresh = ancestral_std(s, s_next) if self.ancestral else self.eta * s_next
            z = noise.like(x)
            x = renoise(u, x, s, s_next, fresh, z)
            yield u


@dataclass(frozen=True)
class PaperDDS(FromNoise):
    """Alg. 2, noisy measurements; A of norm 1, y whitened:

        u = argmin_u gamma/2 |A u - y|² + ½ |u - D|²                               M conjugate gradients from D
        x = u + sqrt(s_{i+1}² - (eta b)²) (x - D) / s_i + eta b z,       b the reverse SDE's fresh noise

    steps, eta and cg are those of the authors' program (github.com/HJ-harry/DDS, main.py). Its weight is 1: that of 5
    here is from memory of the paper. It renews eta s_{i+1} (solver_2d.py), more than eta b of Alg. 2.

    Attributes:
        eta: part of the reverse SDE's fresh noise.
        gamma: weight of the data.
        cg: M.
    """

    name = "dds-paper"
    line = "DDS as published: constant weight, from noise"
    reference = DDS.reference
    suite = ("",)

    steps: int = 50
    sigma_max: float = 150.0
    sde: SDE | None = DDPM
    eta: float = 0.85
    gamma: float = 5.0
    cg: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            0 <= self.eta <= 1 and self.gamma > 0 and self.cg >= 1, "eta in [0, 1], gamma > 0, cg >= 1"
        )

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        D = posed.denoise(x, s)
        u = proximal(posed, D, self.gamma / posed.gain, self.cg)
        fresh = self.eta * ancestral_std(s, s_next)
        return u - D + renoise(D, x, s, s_next, fresh, noise.like(x)), u
