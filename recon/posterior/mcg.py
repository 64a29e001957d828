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

from torch import Tensor

from ...priors.sampling.loop import Noise
from .descent import Descent, ancestral, noised
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

    steps: int = 1000
    zeta: float = 1.0
    cg: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.zeta > 0 and self.cg >= 1, "zeta > 0, cg >= 1")

    def step(self, posed: Posed, x: Tensor, s: float, s_next: float, noise: Noise) -> tuple[Tensor, Tensor]:
        D, shift = guided(posed, x, s, s_next, self.zeta, self.steps)
        if not s_next:
            u = proximal(posed, D + shift, s**2, 4 * self.cg)
            return u, u
        x = noised(D, x, s, s_next, ancestral(s, s_next), noise.like(x)) + shift
        return project(posed, x, s_next, 1.0, self.cg, noise), D
