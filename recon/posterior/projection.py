"""The projection sampler of Song, Shen, Xing & Ermon, "Solving Inverse Problems in Medical Imaging with Score-Based
Generative Models" (ICLR 2022, Alg. 2).

Before each predictor-corrector step of the unconditional reverse SDE, the sample is moved towards the measurement at
the same noise level,

    y_t = alpha_t y + sigma_t A z,                                                          (eq. 7)
    x <- (1 - lambda) x + lambda argmin_u { |u - x|² : A u = y_t }                          (eq. 9, 10)

For A = P(Lambda) T with orthonormal T this is the paper's closed form T^-1[lambda Lambda P^-1 y_t + (1 - lambda) Lambda
T x + (I - Lambda) T x]. For any other A (multi-coil, fan beam) the constrained minimum is reached as a proximal step,

    argmin_u  ½ |A u - y_t|²_W / alpha_t² + |u - x|² / (2 sigma_t²),

which is the constraint as the measurement's noise goes to zero. The run ends with lambda = 1 on the denoised image.
Replacing the measured part at each level is no exact conditioning: docs/lab/2026-11-27-known-answers.md has the bias
on a Gaussian prior."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from ...priors.sampling.loop import NoiseSource
from ...priors.sampling.predictor_corrector import langevin, reverse_diffusion
from ...priors.score import from_channels, to_channels
from ...priors.sde import SDE, VE
from ..options import Space
from .method import PosteriorMethod
from .posed import Posed
from .solver import proximal

LAW = VE(sigma_min=0.01, sigma_max=50.0)
FINAL = 0.03  # of the denoised image against the data, in network units; twice the noise of the data where that is more


@dataclass(frozen=True)
class Projection(PosteriorMethod):
    """Predictor-corrector sampling with a projection before each step; NFE = 2 steps.

    Attributes:
        steps: N (1000 in the paper).
        mixing: lambda (.841 LIDC, .72 LDCT, 1 BraTS in the paper).
        snr: of the Langevin corrector (.246, .40, .517 in the paper).
        sde: law of noise; sigma_max about the largest pairwise distance of the training images.
        cg: conjugate gradient steps of the proximal step.
    """

    name = "projection"
    line = "projection before each step"
    reference = "Song, Shen, Xing & Ermon, ICLR 2022"
    uncertainty = "about right, mean biased; for nearly noise-free data"
    space: ClassVar[Space] = {"mixing": (0.0, 1.0), "snr": (0.05, 0.4)}
    suite = ("steps=50",)

    steps: int = 1000
    mixing: float = 0.85
    snr: float = 0.246
    sde: SDE = LAW
    cg: int = 15

    def __post_init__(self) -> None:
        self.require(
            self.steps >= 1 and self.cg >= 1 and 0 <= self.mixing <= 1 and self.snr >= 0,
            "steps >= 1, cg >= 1, mixing in [0, 1], snr >= 0",
        )

    @property
    def nfe(self) -> int:
        return 2 * self.steps

    def trajectory(self, posed: Posed, noise: NoiseSource) -> Iterator[Tensor]:
        sde, prior = self.sde, posed.prior
        times = torch.linspace(1, 1e-5, self.steps + 1, dtype=torch.float64)
        x = float(sde.sigma(times[0])) * noise.like(posed.initial)
        for t, s in pairwise(times):
            x = self.project(posed, x, t, noise)
            x_channels = to_channels(x, prior.channels)
            x_channels, _ = reverse_diffusion(prior, x_channels, t, s, sde, noise)
            x_channels, mean = langevin(prior, x_channels, s, s, sde, self.snr, noise)
            x = from_channels(x_channels)
            clean = from_channels(mean) / float(sde.alpha(s))
            if s == times[-1]:
                clean = with_data(posed, clean, 4 * self.cg)
            yield clean

    def project(self, posed: Posed, x: Tensor, t: Tensor, noise: NoiseSource) -> Tensor:
        """x moved by lambda towards agreement with y_t."""
        alpha, sigma = float(self.sde.alpha(t)), float(self.sde.sigma(t))
        return alpha * project(posed, x / alpha, sigma / alpha, self.mixing, self.cg, noise)


def project(posed: Posed, x: Tensor, s: float, mixing: float, cg: int, noise: NoiseSource) -> Tensor:
    """x at level s, in x / alpha, moved by `mixing` towards agreement with y + s A z."""
    y_s = posed.y + s * posed.A(noise.like(x))
    return x + mixing * (proximal(posed, x, s**2, cg, y=y_s) - x)


def with_data(posed: Posed, clean: Tensor, cg: int) -> Tensor:
    """The end of a run: the denoised image with the data put in (lambda = 1), as far as their noise allows."""
    error = (2 / posed.gain.sqrt()).clamp_min(FINAL)
    return proximal(posed, clean, error**2, cg)
