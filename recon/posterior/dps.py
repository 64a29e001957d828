"""DPS, diffusion posterior sampling (Chung et al., ICLR 2023, Alg. 1), which runs VP. At each level

    D  = D(x, s)
    x' = the unconditional step of the reverse SDE
    x  = x' - (zeta / |y - A D|) grad_x |y - A D|²                                    norms per item of the batch

NFE = steps, and as many VJPs of the network.

`DPS.paper()` (`--method dps-paper`) is that. `DPS` is free of scale: `zeta` is the paper's, of 1000 steps on a colour
image of 256² in [-1, 1], with an operator of norm 1. Here y - A D is measured in images, |r| / |A|, the step is 1000 /
N times as long for N steps and sqrt(n / n_paper) times for n numbers, and never longer than what would bring the
residual to zero. In x / alpha its length has the factor 1 / (alpha_t alpha_t-1) of VP, whatever the law that gives the
levels.

Traps: the paper's code differentiates the norm and not its square, so that its scale is 2 zeta; it takes the norm over
the batch, which couples the images. DPS draws what is likely rather than a sample:
docs/lab/2026-11-27-known-answers.md has its spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...operators.solve import inner
from ...priors.sampling.loop import NoiseSource
from ...priors.sde import DDPM, SDE
from ..options import Space
from .descent import FIRST_LEVEL, Descent, FromNoise, ancestral_std, renoise
from .posed import Posed

PAPER_STEPS, PAPER_NUMBERS = 1000, 3 * 256 * 256


@dataclass(frozen=True)
class DPS(Descent):
    """The gradient of the residual's norm beside the reverse SDE; NFE = steps.

    Attributes:
        zeta: step length, see the module.
    """

    name = "dps"
    line = "gradient of the residual"
    reference = "Chung et al., ICLR 2023"
    uncertainty = "about right, mean biased most"
    space: ClassVar[Space] = {"zeta": (0.1, 30.0), "sigma_max": FIRST_LEVEL}
    suite = ("steps=100",)

    steps: int = 1000
    zeta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.zeta > 0, "zeta > 0")

    @property
    def vjps(self) -> int:
        return self.steps

    @classmethod
    def paper(cls, **settings: Any) -> PaperDPS:
        return PaperDPS(**settings)

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        D, shift = guided(posed, x, s, s_next, self.zeta, self.steps)
        x = renoise(D, x, s, s_next, ancestral_std(s, s_next), noise.like(x))
        return x + shift, D


def slope_of(posed: Posed, x: Tensor, s: float) -> tuple[Tensor, Tensor, Tensor]:
    """D(x, s), - grad_x |r|² / |r| of r = (y - A D) / |A|, and |r|."""
    D, vjp = posed.tweedie(x, s)
    back, length = posed.misfit(D)  # A^H r, |r|
    norm = posed.gain.sqrt()
    return D, 2 * vjp(back / (length * norm)), length / norm


def guided(
    posed: Posed, x: Tensor, s: float, s_next: float, zeta: float, steps: int
) -> tuple[Tensor, Tensor]:
    """D(x, s) and the step - (zeta / |r|) grad_x |r|², r = (y - A D) / |A|, in x / alpha."""
    D, slope, length = slope_of(posed, x, s)
    numbers = x[0].numel() * (2 if x.is_complex() else 1)
    zeta = zeta * PAPER_STEPS / steps * (numbers / PAPER_NUMBERS) ** 0.5 * vp(s, s_next)
    longest = length / inner(slope, slope).sqrt().clamp_min(1e-30)
    return D, torch.minimum(longest, torch.full_like(longest, zeta)) * slope


def vp(s: float, s_next: float) -> float:
    """1 / (alpha_t alpha_t-1) of VP: a step against a gradient by x_t, in x / alpha."""
    return ((1 + s**2) * (1 + s_next**2)) ** 0.5


@dataclass(frozen=True)
class PaperDPS(FromNoise):
    """Alg. 1 with zeta_i = zeta / |y - A D|, y whitened, A of norm 1; its outcome is x_0, not D. zeta = 1 is from
    memory of the paper; the authors' program (github.com/DPS2022/diffusion-posterior-sampling, configs/) has scales of
    0.3 (super-resolution, deblurring) and 0.5 (inpainting) for the norm: zeta of 0.15 and 0.25.

    Attributes:
        zeta: step length.
    """

    name = "dps-paper"
    line = "DPS as published: the step length of its images"
    reference = DPS.reference
    suite = ()

    steps: int = 1000
    sigma_max: float = 150.0
    sde: SDE | None = DDPM
    zeta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.zeta > 0, "zeta > 0")

    @property
    def vjps(self) -> int:
        return self.steps

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        D, slope, _ = slope_of(posed, x, s)
        x = renoise(D, x, s, s_next, ancestral_std(s, s_next), noise.like(x))
        x = x + self.zeta * vp(s, s_next) * slope
        return x, D if s_next else x
