"""ALD, annealed Langevin dynamics of the posterior (Jalal et al., NeurIPS 2021, eq. 4). T steps a level

    x <- x + a [score(x, s) + A^H (y - A x) / (sigma_y² + gamma_s²)] + sqrt(2 a) z,        a = epsilon s²

and at the end D(x, s_N). NFE = steps x inner + 1 (the paper about 2000 and no last denoising).

Free of scale: the likelihood is annealed by the noise that A x has at level s, gamma_s² = gamma² s² |A|² (whitened), so
that a step is stable whatever the units; epsilon comes from NCSNv2's Technique 4 for the levels and T. Traps: the
paper's code scales the likelihood's gradient to the norm of the score instead, over the batch; and plain Langevin steps
are short for what is weakly measured (CT: the fine detail), see ULA for the cure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from ...priors.sampling.langevin import ncsnv2_epsilon
from ...priors.sampling.loop import Noise, log_snr_levels
from .base import Posed
from .descent import Descent


@dataclass(frozen=True)
class ALD(Descent):
    """Annealed Langevin dynamics with an annealed likelihood; NFE = steps x inner + 1.

    Attributes:
        inner: T, Langevin steps a level.
        gamma: annealing of the likelihood.
    """

    steps: int = 500
    inner: int = 4
    gamma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.inner >= 1 and self.gamma >= 1, "inner >= 1, gamma >= 1 (stable steps)")

    @cached_property
    def epsilon(self) -> float:
        """a / s²: what brings the noise of one level to that of the next best."""
        levels = log_snr_levels(max(self.steps, 2), self.sigma_max, self.sigma_min)
        return ncsnv2_epsilon(levels, self.inner) / levels[-1] ** 2

    def step(self, posed: Posed, x: Tensor, s: float, s_next: float, noise: Noise) -> tuple[Tensor, Tensor]:
        a, annealed = self.epsilon * s**2, 1 + (self.gamma * s) ** 2 * posed.gain
        D = x
        for _ in range(self.inner):
            D = posed.denoise(x, s)
            likelihood, _ = posed.misfit(x)
            x = x + a * ((D - x) / s**2 + likelihood / annealed) + (2 * a) ** 0.5 * noise.like(x)
        return x, D if s_next else posed.denoise(x, s)
