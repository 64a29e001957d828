"""DAPS, decoupled annealing posterior sampling (Zhang et al., CVPR 2025, Alg. 1). At each level

    x_0|t = the probability flow from x at s down to 0                              `ode` evaluations
    x_0   = argmin_u ½ |A u - y - n|² + |u - x_0|t|² / (2 r²),    r = s             n new noise of the measurement
    x     = x_0 + s' z                                                              all noise renewed

NFE = steps x ode (the paper: 200 x 5).

The paper draws x_0 from N(x_0|t, r²) p(y | x_0) (eq. 7) by 100 steps of Langevin dynamics from x_0|t, whose length has
to be tuned to the task. Drawn exactly, what was not measured gets the width r = s again although x_0|t is a sample
already: sqrt(2) of the true spread at many levels and, at few, more noise than the next level tells the network, which
takes it for structure (docs/methods.md). So the noise of the measurement alone is drawn: if the law of x_0|t is
N(m, r²) for any m, x_0 above is a sample of that law given y (Matheron's rule), and the rest stays as the flow left it.
Trap: r is a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...priors.sampling.loop import Noise
from ...priors.sampling.ode import Euler
from .descent import Descent
from .posed import Posed


@dataclass(frozen=True)
class DAPS(Descent):
    """Flow to the image, to the data, noise again; NFE = steps x ode.

    Attributes:
        ode: network evaluations of each flow.
        r: width of p(x_0 | x) in units of s.
        cg: conjugate gradient steps a level, begun where the last level's ended.
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
        x_0 = posed.data_step(x_0t, (self.r * s) ** 2, self.cg, y=posed.y + noise.like(posed.y))
        return x_0 + s_next * noise.like(x), x_0
