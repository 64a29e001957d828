"""Noise of scanners: sampling, log-likelihood and statistical weights.

    Gaussian         y = p + sigma n                                  n ~ N(0, 1)
    ComplexGaussian  y = p + sigma n                                  n ~ CN(0, 1), sigma/sqrt(2) a component
    Photon           y = -log(max(I, floor) / I0)                     transmission CT
                     I = Poisson(I0 exp(-p)) + N(0, sigma_e^2)

p is the clean measurement A x, (B, ...). The weights w are the inverse variances of the single measurements,
the diagonal of the data term (y - A x)^H W (y - A x). For photons the variance of the logarithm is (delta
method) Var(I) / E(I)^2 = (I + sigma_e^2) / I^2, with the measured count in the place of the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_FLOOR = 0.5  # counts: electronic noise can bring a reading to zero or below, where the log ends


@dataclass(frozen=True)
class Gaussian:
    """Real white noise.

    Attributes:
        sigma: standard deviation, in the measurement's units; positive.
    """

    sigma: float

    def __post_init__(self) -> None:
        _check_positive("Gaussian", "sigma", self.sigma)

    def sample(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Clean plus noise, drawn on the generator's device. ValueError for complex data."""
        _check_real("Gaussian", clean)
        return clean + self.sigma * _normal(clean, generator)

    def log_likelihood(self, y: Tensor, clean: Tensor) -> Tensor:
        """log p(y | clean), normalised: (B,) float64."""
        _check_real("Gaussian", y)
        square = (y - clean).double().square() / self.sigma**2
        return -0.5 * (square + math.log(2 * math.pi * self.sigma**2)).flatten(1).sum(1)

    def weights(self, y: Tensor) -> Tensor:
        """1 / sigma^2: a scalar tensor on y's device."""
        return y.new_full((), 1 / self.sigma**2)


@dataclass(frozen=True)
class ComplexGaussian:
    """Circular complex white noise, as in k-space.

    Attributes:
        sigma: standard deviation of the complex number, sqrt(E |n|^2); positive. Each of the real and the
            imaginary part has sigma / sqrt(2).
    """

    sigma: float

    def __post_init__(self) -> None:
        _check_positive("ComplexGaussian", "sigma", self.sigma)

    def sample(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Clean plus noise, drawn on the generator's device. ValueError for real data."""
        if not clean.is_complex():
            raise ValueError("ComplexGaussian: got real data, expected complex; use Gaussian")
        return clean + self.sigma * _normal(clean, generator)

    def log_likelihood(self, y: Tensor, clean: Tensor) -> Tensor:
        """log p(y | clean) = -|y - clean|^2 / sigma^2 - log(pi sigma^2), summed: (B,) float64."""
        difference = torch.view_as_real((y - clean).to(torch.complex128))
        square = difference.square().sum(-1) / self.sigma**2
        return -(square + math.log(math.pi * self.sigma**2)).flatten(1).sum(1)

    def weights(self, y: Tensor) -> Tensor:
        """1 / sigma^2, the inverse of E |n|^2: a real scalar tensor on y's device.

        Together with a prior whose noise is counted per real component (network channels) the matching weight
        is that of one component, 2 / sigma^2.
        """
        return y.real.new_full((), 1 / self.sigma**2)

    def scaled(self, factor: float) -> ComplexGaussian:
        """The noise of measurements in other units, factor * y."""
        return ComplexGaussian(factor * self.sigma)


@dataclass(frozen=True)
class Photon:
    """Transmission CT: Poisson photons and Gaussian electronics, after the logarithm.

    Attributes:
        photons: I0, mean count of an unattenuated ray.
        electronic: sigma_e, standard deviation of the readout noise [counts].
    """

    photons: float
    electronic: float = 0.0

    def __post_init__(self) -> None:
        _check_positive("Photon", "photons", self.photons)
        if not (math.isfinite(self.electronic) and self.electronic >= 0):
            raise ValueError(
                f"Photon: got electronic={self.electronic}, expected a standard deviation >= 0 [counts]"
            )

    def sample(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Noisy line integrals, drawn on the generator's device; counts below 0.5 are set to 0.5."""
        _check_real("Photon", clean)
        mean = self.counts(clean).to(generator.device)
        counts = torch.poisson(mean, generator).to(clean.device)
        if self.electronic > 0:
            counts = counts + self.electronic * _normal(counts, generator)
        return -torch.log(counts.clamp_min(_FLOOR) / self.photons).to(clean.dtype)

    def log_likelihood(self, y: Tensor, clean: Tensor) -> Tensor:
        """log p(counts of y | clean), up to terms that depend on y alone through the change of variables:
        (B,) float64.

        Poisson without electronic noise; with it the shifted Poisson approximation, I + sigma_e^2 ~
        Poisson(mean + sigma_e^2) (Snyder et al., J. Opt. Soc. Am. A 12, 272, 1995).
        """
        _check_real("Photon", y)
        shift = self.electronic**2
        counts, mean = self.counts(y) + shift, self.counts(clean) + shift
        return (torch.xlogy(counts, mean) - mean - torch.lgamma(counts + 1)).flatten(1).sum(1)

    def weights(self, y: Tensor) -> Tensor:
        """I^2 / (I + sigma_e^2) with I = I0 exp(-y), at least one count: y's shape."""
        counts = self.counts(y).clamp_min(1.0)
        return (counts.square() / (counts + self.electronic**2)).to(y.dtype)

    def counts(self, p: Tensor) -> Tensor:
        """I0 exp(-p), float64: the mean counts of clean line integrals, the readings of measured ones."""
        return self.photons * torch.exp(-p.double())


Noise = Gaussian | ComplexGaussian | Photon


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """White noise of unit E |n|^2 in the shape and type of `like`."""
    draw = torch.randn(like.shape, dtype=like.dtype, device=generator.device, generator=generator)
    return draw.to(like.device)


def _check_real(name: str, data: Tensor) -> None:
    if data.is_complex():
        raise ValueError(f"{name}: got complex data, expected real; use ComplexGaussian for k-space")


def _check_positive(name: str, field: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}: got {field}={value}, expected a positive number")
