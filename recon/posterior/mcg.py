"""MCG, manifold constrained gradient (Chung, Sim, Ryu & Ye, NeurIPS 2022, Alg. 1): the gradient of DPS, then a
projection on the data at the level of the noise.

    D   = D(x, s)
    x'  = the unconditional step of the reverse SDE
    x'' = x' - alpha grad_x |y - A D|²,     alpha = zeta / |y - A D|               as DPS, see there for the units
    x   = x'' moved to A x = y + s' A z                                            as Song et al. 2022 (projection.py)

and at the end D moved to A x = y. NFE = steps, and as many VJPs of the network. Traps: as DPS; and the
projection takes the data as free of noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ...priors.sampling.loop import NoiseSource
from ..options import Space
from .descent import FIRST_LEVEL, Descent, ancestral_std, renoise
from .dps import guided
from .posed import Posed
from .projection import project
from .solver import proximal


@dataclass(frozen=True)
class MCG(Descent):
    """Gradient and projection; NFE = steps.

    Attributes:
        zeta: step length of the gradient, as DPS.
        cg: conjugate gradient steps of the projection.
    """

    name = "mcg"
    line = "the gradient of DPS and a projection"
    reference = "Chung et al., NeurIPS 2022"
    uncertainty = "gone where data decide every pixel"
    space: ClassVar[Space] = {"zeta": (0.1, 30.0), "sigma_max": FIRST_LEVEL}
    suite = ("steps=100",)

    steps: int = 1000
    zeta: float = 1.0
    cg: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.zeta > 0 and self.cg >= 1, "zeta > 0, cg >= 1")

    @property
    def vjps(self) -> int:
        return self.steps

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        D, shift = guided(posed, x, s, s_next, self.zeta, self.steps)
        if not s_next:
            u = proximal(posed, D + shift, s**2, 4 * self.cg)
            return u, u
        x = renoise(D, x, s, s_next, ancestral_std(s, s_next), noise.like(x)) + shift
        return project(posed, x, s_next, 1.0, self.cg, noise), D
