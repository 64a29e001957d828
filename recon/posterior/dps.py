"""DPS, diffusion posterior sampling (Chung et al., ICLR 2023, Alg. 1), which runs VP. At each level

    D  = D(x, s)
    x' = the unconditional step of the reverse SDE
    x  = x' - (zeta / |y - A D|) grad_x |y - A D|²                                    norms per item of the batch

NFE = steps, and as many VJPs of the network.

Free of scale: `zeta` is the paper's, of 1000 steps on a colour image of 256² in [-1, 1], with an operator of norm 1.
Here y - A D is measured in images, |r| / |A|, the step is 1000 / N times as long for N steps and sqrt(n / n_paper)
times for n numbers, and never longer than what would bring the residual to zero. In x / alpha its length has the factor
1 / (alpha_t alpha_t-1) of VP, whatever the law that gives the levels.

Traps: the paper's code differentiates the norm and not its square, so that its scale is 2 zeta; it takes the norm over
the batch, which couples the images. DPS draws what is likely rather than a sample: docs/methods.md has its spread.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...operators.solve import inner
from ...priors.sampling.loop import Noise
from .descent import Descent, ancestral, noised
from .posed import Posed

PAPER_STEPS, PAPER_NUMBERS = 1000, 3 * 256 * 256


@dataclass(frozen=True)
class DPS(Descent):
    """The gradient of the residual's norm beside the reverse SDE; NFE = steps.

    Attributes:
        zeta: step length, see the module.
    """

    steps: int = 1000
    zeta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.zeta > 0, "zeta > 0")

    def step(self, posed: Posed, x: Tensor, s: float, s_next: float, noise: Noise) -> tuple[Tensor, Tensor]:
        D, shift = guided(posed, x, s, s_next, self.zeta, self.steps)
        x = noised(D, x, s, s_next, ancestral(s, s_next), noise.like(x))
        return x + shift, D


def guided(
    posed: Posed, x: Tensor, s: float, s_next: float, zeta: float, steps: int
) -> tuple[Tensor, Tensor]:
    """D(x, s) and the step - (zeta / |r|) grad_x |r|², r = (y - A D) / |A|, in x / alpha."""
    D, vjp = posed.tweedie(x, s)
    back, length = posed.misfit(D)  # A^H r, |r|
    norm = posed.gain.sqrt()
    slope = 2 * vjp(back / (length * norm))  # grad |r|² / |r|, of images
    numbers = x[0].numel() * (2 if x.is_complex() else 1)
    zeta = zeta * PAPER_STEPS / steps * (numbers / PAPER_NUMBERS) ** 0.5
    vp = ((1 + s**2) * (1 + s_next**2)) ** 0.5
    longest = length / norm / inner(slope, slope).sqrt().clamp_min(1e-30)
    return D, torch.minimum(longest, torch.full_like(longest, zeta * vp)) * slope
