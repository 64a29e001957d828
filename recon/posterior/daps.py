"""DAPS, decoupled annealing posterior sampling (Zhang et al., CVPR 2025, Alg. 1). At each level

    x_0|t = the probability flow from x at s down to 0                              `ode` evaluations
    x_0   ~ N(x_0|t, r² ) p(y | x_0),    r = s                                      eq. 7
    x     = x_0 + s' z                                                              all noise renewed

NFE = steps x ode (the paper: 200 x 5).

The paper draws x_0 by 100 steps of Langevin dynamics whose length has to be tuned to the task; for a linear measurement
this distribution is Gaussian, and it is drawn by conjugate gradients with perturbed terms (`Posed.draw`), which need no
length. Trap: r is a guess. With r = s the part of an image that was not measured has nearly sqrt(2) of its true spread
(docs/methods.md), as x_0|t is a sample already and no mean.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...priors.sampling.loop import Noise
from ...priors.sampling.ode import Euler
from .base import Posed
from .descent import Descent


@dataclass(frozen=True)
class DAPS(Descent):
    """Flow to the image, draw, noise again; NFE = steps x ode.

    Attributes:
        ode: network evaluations of each flow.
        r: width of p(x_0 | x) in units of s.
        cg: conjugate gradient steps a draw.
    """

    steps: int = 200
    ode: int = 5
    r: float = 1.0
    cg: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.ode >= 1 and self.r > 0 and self.cg >= 1, "ode >= 1, r > 0, cg >= 1")

    def step(self, posed: Posed, x: Tensor, s: float, s_next: float, noise: Noise) -> tuple[Tensor, Tensor]:
        lowest = min(0.01, 0.5 * s)
        if self.ode > 1:
            x = Euler(self.ode - 1)(lambda x, s: (x - posed.denoise(x, s)) / s, x, s, lowest).x
        x_0t = posed.denoise(x, lowest if self.ode > 1 else s)
        x_0 = posed.draw(x_0t, (self.r * s) ** 2, self.cg, noise)
        return x_0 + s_next * noise.like(x), x_0
