"""PiGDM, pseudoinverse-guided diffusion (Song, Vahdat, Mardani & Kautz, ICLR 2023, Alg. 1 and eq. 7-8). At each level

    D   = D(x, s),    r² = s² / (1 + s²)                       p(x_0 | x) taken for N(D, r²), of data of unit variance
    g   = (dD/dx)^T A^H (r² A A^H + sigma_y²)^-1 (y - A D)     = (dD/dx)^T (u - D) / r²,    u the data step from D
    D_y = D + s² g                                             Tweedie's formula of the posterior
    x   = DDIM(eta) from D_y

NFE = steps, and as many VJPs of the network.

Free of scale: r² = s² v² / (s² + v²) with the standard deviation v of an image in network units (`spread`; the paper:
1). Trap: the paper scales g by r² where Bayes' rule says s² (eq. 8 against Alg. 1), the same at low noise; here it is
s² everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ...priors.sampling.loop import NoiseSource
from ..options import Space
from .descent import FIRST_LEVEL, Descent, ancestral_std, renoise
from .posed import Posed


@dataclass(frozen=True)
class PiGDM(Descent):
    """Guidance through the pseudoinverse; NFE = steps.

    Attributes:
        sigma_max: above a few times an image's range the guidance leads astray: from 20 T1 x8 ends 4 dB lower.
        eta: of DDIM, 1 renews as much noise as the reverse SDE.
        spread: standard deviation of images in network units.
        cg: conjugate gradient steps a level, begun where the last level's ended.
    """

    name = "pigdm"
    line = "guidance through the pseudoinverse"
    reference = "Song J. et al., ICLR 2023"
    uncertainty = "right for a Gaussian prior, mean biased"
    space: ClassVar[Space] = {"spread": (0.1, 1.0), "eta": (0.0, 1.0), "sigma_max": FIRST_LEVEL}

    sigma_max: float = 3.0
    eta: float = 1.0
    spread: float = 0.5
    cg: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            0 <= self.eta <= 1 and self.spread > 0 and self.cg >= 1, "eta in [0, 1], spread > 0, cg >= 1"
        )

    @property
    def vjps(self) -> int:
        return self.steps

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        D, vjp = posed.tweedie(x, s)
        r2 = s**2 * self.spread**2 / (s**2 + self.spread**2)
        u = posed.data_step(D, r2, self.cg)
        D_y = D + s**2 * vjp((u - D) / r2)
        return renoise(D_y, x, s, s_next, self.eta * ancestral_std(s, s_next), noise.like(x)), D_y
