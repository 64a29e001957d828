"""MMPS, moment matching posterior sampling (Rozet, Andry, Lanusse & Louppe, NeurIPS 2024, Alg. 1 and eq. 16-18), the
method of Boys et al. 2024 (TMPD) without its diagonal approximation. p(x_0 | x) is taken for the Gaussian of its first
two moments, which the network knows: D and, by Tweedie's second formula, V = s² dD/dx. At each level

    D   = D(x, s)
    q   = (1 + A V A^H)^-1 (y - A D)               `cg` conjugate gradients, a VJP of the network each; y whitened
    D_y = D + V A^H q
    x   = DDIM(eta) from D_y

NFE = steps, with `cg` + 1 VJPs of the network a step. Exact for a Gaussian prior, as steps and cg grow.

dD/dx is symmetric for the true posterior mean, and taken so. The conjugate gradients are preconditioned by the noise
and length of each ray where images are real, as the data step of DDS (solver.py): the only place where `spread`, the
standard deviation of an image, enters. Trap: few iterations from zero are a part of the method's damping at high noise,
where V of a network is worst; to carry q from level to level is not safe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ...operators.solve import conjugate_gradients
from ...priors.sampling.loop import NoiseSource
from ..options import Space
from .descent import FIRST_LEVEL, Descent, ancestral_std, renoise
from .posed import Posed


@dataclass(frozen=True)
class MMPS(Descent):
    """Guidance with the network's own covariance; NFE = steps.

    Attributes:
        eta: of DDIM, 1 renews as much noise as the reverse SDE.
        cg: conjugate gradient steps a level.
        spread: standard deviation of images in network units, for the preconditioner.
    """

    name = "mmps"
    line = "guidance with the network's own covariance"
    reference = "Rozet et al., NeurIPS 2024"
    uncertainty = "right for a Gaussian prior"
    space: ClassVar[Space] = {"spread": (0.1, 1.0), "eta": (0.0, 1.0), "sigma_max": FIRST_LEVEL}
    suite = ("steps=20",)

    eta: float = 1.0
    cg: int = 3
    spread: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            0 <= self.eta <= 1 and self.cg >= 1 and self.spread > 0, "eta in [0, 1], cg >= 1, spread > 0"
        )

    @property
    def vjps(self) -> int:
        return self.steps * (self.cg + 1)

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        D, vjp = posed.tweedie(x, s)
        M = posed.data_step.preconditioner(s**2 * self.spread**2 / (s**2 + self.spread**2))
        q = conjugate_gradients(
            lambda q: q + s**2 * posed.A(vjp(posed.AH(q))),
            posed.y - posed.A(D),
            iterations=self.cg,
            preconditioner=M if M is None else lambda r: M * r,
        )
        D_y = D + s**2 * vjp(posed.AH(q))
        return renoise(D_y, x, s, s_next, self.eta * ancestral_std(s, s_next), noise.like(x)), D_y
