"""DiffPIR (Zhu et al., CVPR workshops 2023, Alg. 1): half-quadratic splitting, its denoiser a diffusion prior.

    D = D(x, s)
    u = argmin_u |y - A u|² + rho |u - D|²,    rho = lambda sigma_y² / s²        the data step (y whitened: sigma_y = 1)
    x = u + s' (sqrt(1 - zeta) (x - u) / s + sqrt(zeta) z)

NFE = steps. `DiffPIR.paper()` (`--method diffpir-paper`) begins at noise alone, has levels of t² uniform and renews
less noise. Beside DDS: the minimum is meant to be reached (here `cg` conjugate gradients, begun where the last level's
ended), and lambda = 1 / gamma. Trap: lambda is a ratio of variances and has no unit, but the code of the paper takes
sigma_y of images in [0, 1] and s of images in [-1, 1]: its lambda is 4 times this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ...priors.sampling.loop import NoiseSource, uniform_levels
from ...priors.sde import DDPM, SDE
from ..options import Space
from .descent import FIRST_LEVEL, Descent, FromNoise, renoise
from .posed import Posed
from .solver import proximal


@dataclass(frozen=True)
class DiffPIR(Descent):
    """Half-quadratic splitting; NFE = steps.

    Attributes:
        lambda_: weight of the prior's estimate against the data.
        zeta: part of the noise's variance that is renewed at each level (the paper: 0.1 to 1 by task;
            docs/lab/2026-11-27-method-changes.md).
        cg: conjugate gradient steps a level.
    """

    name = "diffpir"
    line = "half-quadratic splitting"
    reference = "Zhu et al., CVPRW 2023"
    uncertainty = "right for a Gaussian prior, mean biased"
    space: ClassVar[Space] = {"lambda_": (0.03, 30.0), "zeta": (0.0, 1.0), "sigma_max": FIRST_LEVEL}

    lambda_: float = 1.0
    zeta: float = 1.0
    cg: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            self.lambda_ > 0 and 0 <= self.zeta <= 1 and self.cg >= 1, "lambda_ > 0, zeta in [0, 1], cg >= 1"
        )

    @classmethod
    def paper(cls, **settings: Any) -> PaperDiffPIR:
        return PaperDiffPIR(**settings)

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        D = posed.denoise(x, s)
        u = posed.data_step(D, s**2 / self.lambda_, self.cg)
        return renoise(u, x, s, s_next, self.zeta**0.5 * s_next, noise.like(x)), u


@dataclass(frozen=True)
class PaperDiffPIR(FromNoise):
    """Alg. 1: the data step to its end, from D. Steps, levels, lambda and zeta are those of the authors' program for
    noisy deblurring and super-resolution (github.com/yuanzhi-zhu/DiffPIR, configs/deblur.yaml, configs/sisr.yaml);
    inpainting without noise has zeta = 1 and 20 steps there. `cg` stands for its closed forms.

    Attributes:
        sde: law of noise, whose times are uniform in t².
        lambda_: weight of the prior's estimate against the data.
        zeta: part of the noise's variance that is renewed at each level.
        cg: conjugate gradient steps a level, at most.
    """

    name = "diffpir-paper"
    line = "DiffPIR as published: from noise, little of it renewed"
    reference = DiffPIR.reference

    sigma_max: float = 150.0
    sde: SDE | None = DDPM
    lambda_: float = 1.0
    zeta: float = 0.1
    cg: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            self.lambda_ > 0 and 0 <= self.zeta <= 1 and self.cg >= 1, "lambda_ > 0, zeta in [0, 1], cg >= 1"
        )

    def levels(self) -> list[float]:
        if self.sde is None:
            return super().levels()
        return uniform_levels(self.steps, self.sigma_max, self.sigma_min, self.sde, power=2)

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        u = proximal(posed, posed.denoise(x, s), s**2 / self.lambda_, self.cg)
        return renoise(u, x, s, s_next, self.zeta**0.5 * s_next, noise.like(x)), u
