"""DDRM, denoising diffusion restoration models (Kawar, Elad, Ermon & Song, NeurIPS 2022, eq. 7-8). In the singular
basis of A = U S V^H, with D = D(x, s) and y_i = u_i^H y / s_i, coordinate i of the next x (level s') is

    s_i = 0               D_i + sqrt(1 - eta²) (s' / s) (x - D)_i           + eta s' z
    s' <  sigma_y / s_i   D_i + sqrt(1 - eta²) s' (y_i - D_i) s_i / sigma_y + eta s' z
    s' >= sigma_y / s_i   D_i + eta_b (y_i - D_i)                           + sqrt(s'² - eta_b² sigma_y² / s_i²) z

the estimate being D. NFE = steps (the paper: 20).

These are functions of A^H A applied to A^H (y - A D), to x - D and to z: no decomposition is stored, Lanczos steps
(spectral.py) do it for every operator and any noise. Directions with s_i sigma below `NOTHING` of the noise, or of the
largest, count as not measured. Trap: for CT and many coils the spectrum is broad and `lanczos` steps resolve only part
of it, which leaves the finest measured detail to later levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...priors.sampling.loop import NoiseSource
from ..options import Space
from .descent import FIRST_LEVEL, Descent
from .posed import Posed
from .spectral import Krylov

NOTHING = 1e-2  # an eigenvalue of A^H A, whitened: the data know this direction to ten network units


def measured(posed: Posed, eigenvalues: Tensor) -> Tensor:
    """Which eigenvalues (B, k) of A^H A are not zero."""
    return eigenvalues > (1e-6 * posed.gain.view(-1, 1)).clamp_min(NOTHING)


@dataclass(frozen=True)
class DDRM(Descent):
    """Denoising in the singular basis; NFE = steps.

    Attributes:
        eta: renewed noise where nothing is measured.
        eta_b: weight of the data where they are better than the level.
        lanczos: steps for each function of A^H A.
    """

    name = "ddrm"
    line = "denoising in the singular basis"
    reference = "Kawar et al., NeurIPS 2022"
    uncertainty = "too narrow"
    space: ClassVar[Space] = {"eta": (0.0, 1.0), "eta_b": (0.0, 1.0), "sigma_max": FIRST_LEVEL}

    steps: int = 20
    eta: float = 0.85
    eta_b: float = 1.0
    lanczos: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            0 <= self.eta <= 1 and 0 <= self.eta_b <= 1 and self.lanczos >= 2,
            "eta and eta_b in [0, 1], lanczos >= 2",
        )

    def step(
        self, posed: Posed, x: Tensor, s: float, s_next: float, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]:
        D, kept = posed.denoise(x, s), (1 - self.eta**2) ** 0.5
        if not s_next:
            return D, D

        def good(e: Tensor) -> Tensor:  # s' >= sigma_y / s_i
            return e * s_next**2 >= 1

        def towards_data(e: Tensor) -> Tensor:  # of A^H (y - A D), whose coordinates are s_i² (y_i - D_i)
            pull = torch.where(good(e), self.eta_b, kept * s_next * e.sqrt()) / e.clamp_min(NOTHING)
            return pull * measured(posed, e)

        def fresh(e: Tensor) -> Tensor:
            left = (s_next**2 - self.eta_b**2 / e.clamp_min(s_next**-2)).clamp_min(0).sqrt()
            return torch.where(good(e), left, self.eta * s_next)

        shift = Krylov(posed, posed.misfit(D)[0], self.lanczos)(towards_data)
        carried = Krylov(posed, x - D, self.lanczos)(lambda e: kept * s_next / s * ~measured(posed, e))
        z = Krylov(posed, noise.like(x), self.lanczos)(fresh)
        return D + shift + carried + z, D
