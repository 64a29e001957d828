"""DDNM+, the denoising diffusion null-space model with noise (Wang, Yu & Zhang, ICLR 2023, Alg. 3 and App. I). At each
level, with the reverse SDE's own step a D + b x + sigma z (a = 1 - s'² / s², b = s'² / s², sigma = s' sqrt(a)),

    D_0 = D + A^+ Lambda (y - A D)                  range from the data, null space from the network
    x   = a D_0 + b x + Phi^½ z

and in each singular direction lambda_i = min(1, sigma s_i / (a sigma_y)), phi_i = sigma² - (a lambda_i sigma_y / s_i)²,
so that the noise of the data, amplified by A^+, takes the place of part of the fresh noise and never of more. The last
estimate is D_0 at s_N. NFE = steps. The paper's time travel (several passes of a level) is left out.

A^+ Lambda and Phi are functions of A^H A: Lanczos steps (spectral.py) for every operator, exact where A is a mask in an
orthogonal basis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...priors.sampling.loop import NoiseSource
from ..options import Space
from .ddrm import NOTHING, measured
from .descent import FIRST_LEVEL, Descent, ancestral_std
from .posed import Posed
from .spectral import Krylov


@dataclass(frozen=True)
class DDNM(Descent):
    """Range from the data, null space from the network; NFE = steps.

    Attributes:
        lanczos: steps for each function of A^H A.
    """

    name = "ddnm"
    line = "range from the data, null space from the network: DDNM+"
    reference = "Wang, Yu & Zhang, ICLR 2023"
    uncertainty = "too narrow"
    space: ClassVar[Space] = {"lanczos": (4, 24), "sigma_max": FIRST_LEVEL}

    lanczos: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.lanczos >= 2, "lanczos >= 2")

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        D, b = posed.denoise(x, s), (s_next / s) ** 2
        a, sigma = (
            1 - b,
            ancestral_std(s, s_next) if s_next else s,
        )  # the end: what s_N left of the data's noise

        def trust(e: Tensor) -> Tensor:  # lambda_i
            return torch.where(measured(posed, e), (sigma * e.sqrt() / a).clamp_max(1), 0)

        D_0 = D + Krylov(posed, posed.misfit(D)[0], self.lanczos)(lambda e: trust(e) / e.clamp_min(NOTHING))
        if not s_next:
            return D_0, D_0

        def fresh(e: Tensor) -> Tensor:
            return (sigma**2 - (a * trust(e)) ** 2 / e.clamp_min(NOTHING)).clamp_min(0).sqrt()

        return a * D_0 + b * x + Krylov(posed, noise.like(x), self.lanczos)(fresh), D_0
