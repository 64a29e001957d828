"""One law of noise. Every forward process here is

    x_t = alpha_t x_0 + sigma_t z,   z ~ N(0, I),   t in [0, 1],

the solution of dx = f(x, t) dt + g(t) dw with drift f and diffusion g (Song et al. 2021, eq. 5 and App. B-C):

    VE      alpha = 1                         sigma = sigma_min (sigma_max / sigma_min)^t
    VP      alpha = exp(-½ B(t))              sigma = sqrt(1 - alpha²)         B(t) = ½ t² (beta_1 - beta_0) + t beta_0
    sub-VP  alpha = exp(-½ B(t))              sigma = 1 - alpha²

Divided by alpha, each is x_0 plus noise of level sigma / alpha (Karras et al. 2022), so one denoiser serves them all: a
sampler asks an SDE for `alpha`, `sigma`, `drift`, `diffusion` and nothing else. Times are tensors of any shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class SDE(Protocol):
    """The law of noise a sampler runs under. Times t are in [0, 1]; t = 1 is pure noise."""

    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the signal at t."""
        ...

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise at t."""
        ...

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """f(x, t); t broadcastable to x."""
        ...

    def diffusion(self, t: Tensor) -> Tensor:
        """g(t)."""
        ...

    def time(self, level: Tensor) -> Tensor:
        """The t at which sigma / alpha equals `level` (the inverse of the noise level)."""
        ...


@dataclass(frozen=True)
class VE:
    """Variance exploding (NCSN); sigma_max about the largest pairwise distance of the data (Song & Ermon 2020)."""

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** t

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def diffusion(self, t: Tensor) -> Tensor:
        return self.sigma(t) * math.sqrt(2 * math.log(self.sigma_max / self.sigma_min))

    def time(self, level: Tensor) -> Tensor:
        return torch.log(level / self.sigma_min) / math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True)
class VP:
    """Variance preserving (DDPM)."""

    beta_0: float = 0.1
    beta_1: float = 20.0

    def _integral(self, t: Tensor) -> Tensor:  # B(t), the integral of beta
        return 0.5 * t**2 * (self.beta_1 - self.beta_0) + t * self.beta_0

    def _beta(self, t: Tensor) -> Tensor:
        return self.beta_0 + t * (self.beta_1 - self.beta_0)

    def _time_of_integral(self, integral: Tensor) -> Tensor:
        a, b = 0.5 * (self.beta_1 - self.beta_0), self.beta_0
        return 2 * integral / (b + torch.sqrt(b**2 + 4 * a * integral))

    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-0.5 * self._integral(t))

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sqrt(-torch.expm1(-self._integral(t)))

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        return -0.5 * self._beta(t) * x

    def diffusion(self, t: Tensor) -> Tensor:
        return torch.sqrt(self._beta(t))

    def time(self, level: Tensor) -> Tensor:
        return self._time_of_integral(torch.log1p(level**2))  # (sigma / alpha)² = e^B - 1


DDPM = VP()  # whose times, uniform, give the levels of DDPM (Ho et al. 2020), but for the discretisation


@dataclass(frozen=True)
class SubVP(VP):
    """sub-VP: VP's drift with less noise (Song et al. 2021, eq. 13)."""

    def sigma(self, t: Tensor) -> Tensor:
        return -torch.expm1(-self._integral(t))

    def diffusion(self, t: Tensor) -> Tensor:
        return torch.sqrt(self._beta(t) * -torch.expm1(-2 * self._integral(t)))

    def time(self, level: Tensor) -> Tensor:
        return self._time_of_integral(2 * torch.asinh(0.5 * level))  # sigma / alpha = 2 sinh(B / 2)
