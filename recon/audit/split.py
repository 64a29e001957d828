"""How much of each pixel the data say, and how much the prior: the diagonal of the resolution matrix

    R = A^H A (A^H A + 1 / v)^-1,        A whitened, v the variance of the image's pixels,

1 where the data alone determine a pixel to within their noise, 0 where nothing is known but what images are like. A
prior that knows no more than the variance of a pixel is the most cautious one: what a better one adds is the prior's
share, not the data's. Its trace is the number of pixels that are measured, so to speak.

Estimated with random signs z (Hutchinson 1990): diag R = E[z R z], where (1 - R) z = argmin_u |A u|² + |u - z|² / v is
the data step of the samplers (posterior/solver.py), and averaged over a window.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...operators.solve import item_mean
from ...priors.sampling.loop import ItemNoise, NoiseSource
from ..posterior.covariance import WINDOW, window_mean
from ..posterior.posed import Posed
from ..posterior.solver import data_solver

PROBES, STEPS = 4, 20  # random images; conjugate gradient steps of each


@torch.no_grad()
def data_share(
    posed: Posed,
    variance: Tensor | float | None = None,
    probes: int = PROBES,
) -> Tensor:
    """The data's share of each pixel, (B, H, W) in [0, 1]; the rest is the prior's.

    Args:
        variance: v, of real and imaginary parts alike, in the prior's units; by default that of the rough
            reconstruction.
        probes: random images.
    """
    v = _variance(posed.initial) if variance is None else variance
    found = probed(posed, v, probes, ItemNoise([1] * len(posed.initial)))
    return window_mean(found, WINDOW).clamp(0, 1).cpu()


def probed(posed: Posed, variance: Tensor | float, probes: int, noise: NoiseSource) -> Tensor:
    """z R z of each pixel, (B, H, W): the mean over random images z. Its expectation is the diagonal."""
    step, total = data_solver(posed), torch.zeros(())
    for _ in range(probes):
        z = _signs(noise.like(posed.initial))
        step.forget()
        explained = z - step(z, variance, STEPS, y=torch.zeros_like(posed.y))  # R z
        total = total + (z.conj() * explained).real / probes
    return total


def _variance(image: Tensor) -> Tensor:
    """Of the pixels of each image, (B, 1, ..., 1); of complex ones, of a part."""
    deviation = (image - item_mean(image)).abs().square()
    return item_mean(deviation).clamp_min(1e-12) / (2 if image.is_complex() else 1)


def _signs(z: Tensor) -> Tensor:
    """Random signs, of unit modulus: the smallest variance that a probe can have."""
    if z.is_complex():
        return torch.complex(z.real.sign(), z.imag.sign()) * 0.5**0.5
    return z.sign()
