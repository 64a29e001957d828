"""ALD, annealed Langevin dynamics of the posterior (Jalal et al., NeurIPS 2021, eq. 4). T steps a level

    x <- x + a [score(x, s) + A^H (sigma_y² + gamma² s² A A^H)^-1 (y - A x)] + sqrt(2 a) z,        a = epsilon s²

and at the end D(x, s_N). NFE = steps x inner + 1 (the paper about 2000 and no last denoising).

The likelihood is annealed by the noise that A x has at level s. The paper writes its variance as a number, gamma_s²,
which is this where A A^H is one (single-coil MRI); with a number for CT and many coils the steps are as short as the
strongest direction demands and the fine detail never arrives (docs/lab/2026-11-27-method-changes.md); so runs
`ALD.paper()`, `--method ald-paper`. Here the term is (u - x) / (gamma s)², u the data step from x: as stable as the
prior's, whatever the operator and its units. Levels are geometric, and epsilon comes from NCSNv2's Technique 4 for
them and T. Trap: the paper's code scales the likelihood's gradient to the norm of the score instead, over the batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from ...priors.sampling.langevin import ncsnv2_epsilon
from ...priors.sampling.loop import NoiseSource, log_snr_levels
from ..options import Space
from .descent import FIRST_LEVEL, Descent
from .posed import Posed


@dataclass(frozen=True)
class Langevin(Descent):
    """Levels and step length of both.

    Attributes:
        inner: T, Langevin steps a level.
        gamma: annealing of the likelihood.
    """

    inner: int = 4
    gamma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.inner >= 1 and self.gamma >= 1, "inner >= 1, gamma >= 1 (stable steps)")

    def levels(self) -> list[float]:
        return super().levels() if self.sde else log_snr_levels(self.steps, self.sigma_max, self.sigma_min)

    @cached_property
    def epsilon(self) -> float:
        """a / s²: what brings the noise of one level to that of the next best; of geometric levels."""
        levels = log_snr_levels(max(self.steps, 2), self.sigma_max, self.sigma_min)
        return ncsnv2_epsilon(levels, self.inner) / levels[-1] ** 2


@dataclass(frozen=True)
class ALD(Langevin):
    """Annealed Langevin dynamics with an annealed likelihood; NFE = steps x inner + 1.

    Attributes:
        cg: conjugate gradient steps of each.
    """

    name = "ald"
    line = "annealed Langevin dynamics"
    reference = "Jalal et al., NeurIPS 2021"
    uncertainty = "right in the limit"
    space: ClassVar[Space] = {"gamma": (1.0, 10.0), "sigma_max": FIRST_LEVEL}
    suite = ("steps=25",)

    steps: int = 500
    sigma_max: float = 2.0
    cg: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.cg >= 1, "cg >= 1")

    @property
    def nfe(self) -> int:
        return self.steps * self.inner + 1

    @classmethod
    def paper(cls, **settings: Any) -> PaperALD:
        return PaperALD(**settings)

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        D, annealed = x, (self.gamma * s) ** 2
        for _ in range(self.inner):
            D = posed.denoise(x, s)
            posed.data_step.forget()  # what the last x wanted is noise to this one
            likelihood = (posed.data_step(x, annealed, self.cg) - x) / self.gamma**2
            x = x + self.epsilon * (D - x + likelihood) + (2 * self.epsilon) ** 0.5 * s * noise.like(x)
        return x, D if s_next else posed.denoise(x, s)


@dataclass(frozen=True)
class PaperALD(Langevin):
    """Eq. 4 with a number for the variance of the likelihood; A of norm 1, y whitened by sigma, gamma_s = gamma s:

        x <- x + a [score(x, s) + A^H (y - A x) / (gamma_s² + sigma²)] + sqrt(2 a) z,        a = epsilon s²

    from s_1 z, and no last denoising: NFE = steps x inner. Of NCSNv2's 2311 levels from 232 to 0.0066 the lower
    half, where the authors' program begins (github.com/utcsilab/csgm-mri-langevin, configs/file/brain_T2.yaml:
    start_iter 1155), with 3 steps each (main.py; 4 after level 1800). epsilon is NCSNv2's Technique 4 and gamma 1 for
    want of a number in the paper; the program has steps of 5e-5 (s / s_N)² and scales the data's gradient to 5 times
    the score's norm instead.
    """

    name = "ald-paper"
    line = "ALD as published: one step length for all directions"
    reference = ALD.reference
    suite = ()

    steps: int = 1156
    sigma_max: float = 1.24
    sigma_min: float = 0.0066
    inner: int = 3

    @property
    def nfe(self) -> int:
        return self.steps * self.inner

    def begin(self, posed: Posed, s: float, noise: NoiseSource) -> Tensor:
        return s * noise.like(posed.initial)

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        a, variance = self.epsilon * s**2, 1 + posed.gain * (self.gamma * s) ** 2  # in units of sigma²
        for _ in range(self.inner):
            score = (posed.denoise(x, s) - x) / s**2
            x = x + a * (score + posed.misfit(x)[0] / variance) + (2 * a) ** 0.5 * noise.like(x)
        return x, x
