"""DAPS, decoupled annealing posterior sampling (Zhang et al., CVPR 2025, Alg. 1). At each level

    x_0|t = the probability flow from x at s down to 0                              `ode` evaluations
    x_0   = argmin_u ½ |A u - y - n|² + |u - x_0|t|² / (2 r²),    r = s             n new noise of the measurement
    x     = x_0 + s' z                                                              all noise renewed

NFE = steps x ode (the paper: 200 x 5).

The paper (`DAPS.paper()`, `--method daps-paper`) draws x_0 from N(x_0|t, r²) p(y | x_0) (eq. 7) by 100 steps of
Langevin dynamics from x_0|t, whose length has to be tuned to the task. Drawn exactly, what was not measured gets the
width r = s again although x_0|t is a sample already: sqrt(2) of the true spread at many levels and, at few, more noise
than the next level tells the network, which takes it for structure (docs/lab/2026-11-27-method-changes.md). So the
noise of the measurement alone is drawn: if the law of x_0|t is N(m, r²) for any m, x_0 above is a sample of that law
given y (Matheron's rule), and the rest stays as the flow left it. Trap: r is a guess."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from torch import Tensor

from ...priors.sampling.loop import NoiseSource
from ...priors.sampling.ode import Euler
from ..options import Space
from .descent import FIRST_LEVEL, Annealed, Descent
from .posed import Posed


@dataclass(frozen=True)
class DAPS(Descent):
    """Flow to the image, to the data, noise again; NFE = steps x ode.

    Attributes:
        ode: network evaluations of each flow.
        r: width of p(x_0 | x) in units of s.
        cg: conjugate gradient steps a level, begun where the last level's ended.
    """

    name = "daps"
    line = "decoupled annealing"
    reference = "Zhang et al., CVPR 2025"
    uncertainty = "a little narrow"
    space: ClassVar[Space] = {"r": (0.1, 2.0), "sigma_max": FIRST_LEVEL}
    suite = ("steps=20",)

    steps: int = 200
    ode: int = 5
    r: float = 1.0
    cg: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.ode >= 1 and self.r > 0 and self.cg >= 1, "ode >= 1, r > 0, cg >= 1")

    @property
    def nfe(self) -> int:
        return self.steps * self.ode

    @classmethod
    def paper(cls, **settings: Any) -> PaperDAPS:
        return PaperDAPS(**settings)

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        x_0t = flow(posed, x, s, self.ode)
        x_0 = posed.data_step(x_0t, (self.r * s) ** 2, self.cg, y=posed.y + noise.like(posed.y))
        return x_0 + s_next * noise.like(x), x_0


def flow(posed: Posed, x: Tensor, s: float, evaluations: int) -> Tensor:
    """The probability flow from x at level s down to 0, by Euler's method on Karras levels."""
    if evaluations == 1:
        return posed.denoise(x, s)
    lowest = min(0.01, 0.5 * s)
    x = Euler(evaluations - 1)(lambda x, s: (x - posed.denoise(x, s)) / s, x, s, lowest).x
    return posed.denoise(x, lowest)


@dataclass(frozen=True)
class PaperDAPS(Annealed):
    """Alg. 1 with eq. 7 by Langevin dynamics from x_0|t; A of norm 1, y whitened, r = s:

        x_0 <- x_0 + eta [(x_0|t - x_0) / r² + A^H (y - A x_0) / tau²] + sqrt(2 eta) z      `langevin` times
        eta = rate (1 + i / N (ratio - 1)) at level i

    All numbers are those of the authors' program for deblurring (github.com/zhangbingliang2019/DAPS,
    configs/sampler/edm_daps.yaml, configs/task/gaussian_blur.yaml); for inpainting its rate is half of this.

    Attributes:
        ode: network evaluations of each flow.
        langevin: steps of the inner chain.
        rate: their length at the first level.
        ratio: of the last level's length to the first's.
        tau: standard deviation of the noise that the data are taken to have.
    """

    name = "daps-paper"
    line = "DAPS as published: Langevin steps inside"
    reference = DAPS.reference
    suite = ()

    steps: int = 200
    sigma_max: float = 100.0
    sigma_min: float = 0.1
    ode: int = 5
    langevin: int = 100
    rate: float = 1e-4
    ratio: float = 0.01
    tau: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            self.ode >= 1 and self.langevin >= 1 and self.rate > 0 and 0 < self.ratio <= 1 and self.tau > 0,
            "ode >= 1, langevin >= 1, rate > 0, ratio in (0, 1], tau > 0",
        )

    @property
    def nfe(self) -> int:
        return self.steps * self.ode

    def trajectory(self, posed: Posed, noise: NoiseSource) -> Iterator[Tensor]:
        levels = [*self.levels(), 0.0]
        x = levels[0] * noise.like(posed.initial)
        for i, (s, s_next) in enumerate(pairwise(levels)):
            x_0 = self.chain(posed, flow(posed, x, s, self.ode), s, i, noise)
            x = x_0 + s_next * noise.like(x)
            yield x_0

    def chain(self, posed: Posed, x_0t: Tensor, s: float, i: int, noise: NoiseSource) -> Tensor:
        """A sample of eq. 7 around x_0t at level number i."""
        x_0, eta = x_0t, self.rate * (1 + i / self.steps * (self.ratio - 1))
        for _ in range(self.langevin):
            pull = posed.misfit(x_0)[0] / (posed.gain * self.tau**2)
            x_0 = x_0 + eta * ((x_0t - x_0) / s**2 + pull) + (2 * eta) ** 0.5 * noise.like(x_0)
        return x_0
