"""PnP-DM (Wu et al., NeurIPS 2024, Alg. 1): split Gibbs sampling with a diffusion prior. For rho down the levels

    z ~ exp(-½ |y - A z|² - |z - x|² / (2 rho²))      likelihood step, exact: conjugate gradients with perturbed terms
    x ~ p(x) exp(-|x - z|² / (2 rho²))                prior step: the reverse SDE from z at level rho to 0

The prior step is denoising by sampling: z is an image with noise of level rho. NFE = steps x inner. Exact in the
limit: many iterations, rho to 0 slowly, many inner steps. The paper goes down to rho = 0.1 ... 0.3 of images in [-1,
1] and stays there, and the sample has as much freedom; here rho ends at `sigma_min`. It begins at 2, four standard
deviations of an image: above, each iteration forgets the last, and of a few little is left for what counts
(docs/lab/2026-11-27-method-changes.md)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import Tensor

from ...priors.sampling.loop import NoiseSource, karras_levels
from ..options import Space
from .descent import Descent, ancestral_std, renoise
from .posed import Posed


@dataclass(frozen=True)
class PnPDM(Descent):
    """Split Gibbs sampling; NFE = steps x inner.

    Attributes:
        inner: network evaluations of a prior step.
        cg: conjugate gradient steps of a likelihood step.
    """

    name = "pnpdm"
    line = "split Gibbs sampling"
    reference = "Wu et al., NeurIPS 2024"
    uncertainty = "right in the limit"
    space: ClassVar[Space] = {"sigma_min": (0.005, 0.1), "sigma_max": (0.3, 50.0)}
    suite = ("steps=20,inner=5",)

    steps: int = 100
    sigma_max: float = 2.0
    sigma_min: float = 0.02
    inner: int = 10
    cg: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.inner >= 1 and self.cg >= 1, "inner >= 1, cg >= 1")

    @property
    def nfe(self) -> int:
        return self.steps * self.inner

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        z = posed.draw(x, s**2, self.cg, noise)
        for t, t_next in pairwise([*karras_levels(self.inner, s, min(0.01, 0.2 * s)), 0.0]):
            z = renoise(posed.denoise(z, t), z, t, t_next, ancestral_std(t, t_next), noise.like(z))
        return z, z
