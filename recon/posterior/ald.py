"""ALD, annealed Langevin dynamics of the posterior (Jalal et al., NeurIPS 2021, eq. 4). T steps a level

    x <- x + a [score(x, s) + A^H (sigma_y² + gamma² s² A A^H)^-1 (y - A x)] + sqrt(2 a) z,        a = epsilon s²

and at the end D(x, s_N). NFE = steps x inner + 1 (the paper about 2000 and no last denoising).

The likelihood is annealed by the noise that A x has at level s. The paper writes its variance as a number, gamma_s²,
which is this where A A^H is one (single-coil MRI); with a number for CT and many coils the steps are as short as the
strongest direction demands and the fine detail never arrives (docs/methods.md). Here the term is (u - x) / (gamma s)²,
u the data step from x: as stable as the prior's, whatever the operator and its units. Levels are geometric, and epsilon
comes from NCSNv2's Technique 4 for them and T. Trap: the paper's code scales the likelihood's gradient to the norm of
the score instead, over the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from ...priors.sampling.langevin import ncsnv2_epsilon
from ...priors.sampling.loop import Noise, log_snr_levels
from .descent import Descent
from .posed import Posed


@dataclass(frozen=True)
class ALD(Descent):
    """Annealed Langevin dynamics with an annealed likelihood; NFE = steps x inner + 1.

    Attributes:
        inner: T, Langevin steps a level.
        gamma: annealing of the likelihood.
        cg: conjugate gradient steps of each.
    """

    steps: int = 500
    sigma_max: float = 2.0
    inner: int = 4
    gamma: float = 1.0
    cg: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            self.inner >= 1 and self.gamma >= 1 and self.cg >= 1,
            "inner >= 1, gamma >= 1 (stable steps), cg >= 1",
        )

    def geometric(self) -> list[float]:
        """The levels without a law of noise, of which epsilon is."""
        return log_snr_levels(max(self.steps, 2), self.sigma_max, self.sigma_min)

    def levels(self) -> list[float]:
        return super().levels() if self.sde else self.geometric()[: self.steps]

    @cached_property
    def epsilon(self) -> float:
        """a / s²: what brings the noise of one level to that of the next best."""
        levels = self.geometric()
        return ncsnv2_epsilon(levels, self.inner) / levels[-1] ** 2

    def step(self, posed: Posed, x: Tensor, s: float, s_next: float, noise: Noise) -> tuple[Tensor, Tensor]:
        D, annealed = x, (self.gamma * s) ** 2
        for _ in range(self.inner):
            D = posed.denoise(x, s)
            posed.data_step.forget()  # what the last x wanted is noise to this one
            likelihood = (posed.data_step(x, annealed, self.cg) - x) / self.gamma**2
            x = x + self.epsilon * (D - x + likelihood) + (2 * self.epsilon) ** 0.5 * s * noise.like(x)
        return x, D if s_next else posed.denoise(x, s)
