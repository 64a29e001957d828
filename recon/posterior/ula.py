"""pULA, the preconditioned unadjusted Langevin algorithm (Blumenthal, Holliber, Tamir & Uecker, arXiv 2512.05791). The
exact likelihood stands beside the diffused prior at every level; `inner` steps a level

    x <- x + tau M [score(x, s) + A^H (y - A x)] + sqrt(2 tau) M^½ z,        M = (A^H A + 1 / s²)^-1

As M [score + A^H (y - A x)] = u - x with u the data step from D(x, s), and M (A^H n + z / s) has the covariance M, a
step is one draw of the data step with perturbed terms and the noise times sqrt(2 / tau):

    x <- (1 - tau) x + tau u,      u drawn around D(x, s)

and at the end D(x, s_N). NFE = steps x inner + 1. No annealed likelihood, no step length to tune: the curvature of
neither term is above that of M. tau = 1 is twice too wide where the data decide, tau -> 0 exact.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...priors.sampling.loop import Noise
from .descent import Descent
from .posed import Posed


@dataclass(frozen=True)
class ULA(Descent):
    """Langevin dynamics preconditioned by the data; NFE = steps x inner + 1.

    Attributes:
        inner: Langevin steps a level.
        tau: their length.
        cg: conjugate gradient steps of each.
    """

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

    def step(self, posed: Posed, x: Tensor, s: float, s_next: float, noise: Noise) -> tuple[Tensor, Tensor]:
        D = x
        for _ in range(self.inner):
            D = posed.denoise(x, s)
            u = posed.draw(D, s**2, self.cg, noise, temperature=(2 / self.tau) ** 0.5)
            x = (1 - self.tau) * x + self.tau * u
        return x, D if s_next else posed.denoise(x, s)
