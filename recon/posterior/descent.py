"""The loop that most methods share: from noise down the noise levels s = sigma / alpha, a step of the method each.

Divided by alpha every law of noise is x_0 + s z (priors/sde.py), so that the methods are written in x / alpha and the
law only says which levels are visited:

    x = u + s_1 z,    u = argmin_u ½ |A u - y|²_W + ½ |u - x_LS|² / START²      x_LS: a few conjugate gradients on the
                                                                                data alone
    for s, s' in pairs of s_1 > s_2 > ... > s_N > 0:
        x, estimate = step(x, s, s')

The papers begin with s_1 z, which is the same where s_1 is far above the image. Begun lower (`sigma_max`) the run is
that of CCDF (Chung, Sim & Ye, CVPR 2022), and few steps go further. u rather than x_LS: of 180 views 8 conjugate
gradients leave blur where the views are many and noise where the photons are few (28.8 dB to 31.4).

What a paper writes for VP follows by x_t = alpha_t x, alpha_t = 1 / sqrt(1 + s²).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from ...priors.sampling.loop import NoiseSource, karras_levels, uniform_levels
from ...priors.sde import SDE
from .method import PosteriorMethod
from .posed import Posed

FIRST_LEVEL = (0.03, 20.0)  # where tuning may begin a run
# The error that x_LS is taken to have, in network units, and conjugate gradients from there: chosen by hand, see above.
START, START_CG = 0.05, 10


def noise_levels(steps: int, top: float, bottom: float, sde: SDE | None) -> list[float]:
    """`steps` levels from top to bottom: uniform in the time of `sde`, or Karras levels without one."""
    return karras_levels(steps, top, bottom) if sde is None else uniform_levels(steps, top, bottom, sde)


def ancestral_std(s: float, s_next: float) -> float:
    """The fresh noise of one step of the reverse SDE from level s to s_next."""
    return s_next * (1 - (s_next / s) ** 2) ** 0.5


def renoise(D: Tensor, x: Tensor, s: float, s_next: float, fresh: float, z: Tensor) -> Tensor:
    """The estimate D with noise of level s_next, `fresh` of it the new z and the rest that of x (DDIM)."""
    kept = max(s_next**2 - fresh**2, 0.0) ** 0.5
    return D + kept / s * (x - D) + fresh * z


@dataclass(frozen=True)
class Annealed(PosteriorMethod):
    """Base of the methods that go down noise levels.

    Attributes:
        steps: N, the number of levels.
        sigma_max: s_1, the first level, in network units.
        sigma_min: s_N, the last.
        sde: law of noise whose uniform times give the levels; auto: Karras levels.
    """

    sigma_max: float = 20.0
    sigma_min: float = 0.01
    sde: SDE | None = None

    def __post_init__(self) -> None:
        self.require(
            self.steps >= 1 and 0 < self.sigma_min < self.sigma_max,
            "steps >= 1 and 0 < sigma_min < sigma_max",
        )

    def levels(self) -> list[float]:
        """s_1 > ... > s_N."""
        return noise_levels(self.steps, self.sigma_max, self.sigma_min, self.sde)


@dataclass(frozen=True)
class Descent(Annealed):
    """The loop of the module; a subclass writes `step`."""

    def begin(self, posed: Posed, s: float, noise: NoiseSource) -> Tensor:
        """x at the first level."""
        u = posed.data_step(posed.initial, START**2, START_CG)
        posed.data_step.forget()
        return u + s * noise.like(u)

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        """From x at level s to level s_next (0 at the end): (x, estimate of the clean image)."""
        raise NotImplementedError

    def trajectory(self, posed: Posed, noise: NoiseSource) -> Iterator[Tensor]:
        levels = [*self.levels(), 0.0]
        x = self.begin(posed, levels[0], noise)
        for s, s_next in pairwise(levels):
            x, estimate = self.step(posed, x, s, s_next, noise)
            yield estimate


class FromNoise(Descent):
    """The same begun as the papers write it, with noise alone: x_T ~ N(0, 1), which is sqrt(1 + s_1²) z in x / alpha.
    The levels of VP, uniform in time, are those of DDPM."""

    def begin(self, posed: Posed, s: float, noise: NoiseSource) -> Tensor:
        return (1 + s**2) ** 0.5 * noise.like(posed.initial)
