"""Losses for learning a score from noise: denoising score matching (Vincent 2011),

    E_{x, sigma, z}  w(sigma) || D(x + sigma z, sigma) - x ||²,

whose minimiser is the posterior mean, and its score the true one, for every weight w > 0 and every law of sigma. A
`Weighting` is both, sigma as a function of u, uniform in [0, 1]:

    weighting     w(sigma)               sigma(u)                       paper
    edm           (sigma² + s²) /        log-normal                     Karras et al. 2022, eq. 2: w = 1 / c_out²
                  (sigma s)²
    noise         1 / sigma²             the law's (`NoiseLaw.level`):  NCSN's and Song et al. 2021's lambda = sigma_t²
                                         t uniform, or any step         (eq. 7, VE, VP, sub-VP), DDPM's L_simple
    likelihood    log(max² / min²) /     log sigma uniform              Song, Durkan et al. 2021: lambda = g², by
                  sigma²                                                importance sampling (eq. 7, 17)

A weight lambda(t) of the score's error is w = lambda / (sigma_t sigma)² here, sigma = sigma_t / alpha_t. Under every
law of noise (sde.py) g² / sigma_t² is d log sigma² / dt, so that one likelihood weighting serves them all.

Losses without noise are in score_matching.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .parallel import ALONE, World
from .score import per_item


class Weighting(NamedTuple):
    """Which noise levels a loss draws, (B,) in [0, 1] -> (B,), and how their errors count, of any shape."""

    level: Callable[[Tensor], Tensor]
    weight: Callable[[Tensor], Tensor]


def edm(sigma_data: float, p_mean: float = -1.4, p_std: float = 1.4) -> Weighting:
    """log sigma ~ N(P_mean, P_std²); `sigma_data` is the standard deviation s of the data in network units."""

    def level(u: Tensor) -> Tensor:
        return torch.exp(p_mean + p_std * torch.special.ndtri(u.clamp(1e-4, 1 - 1e-4)))

    def weight(sigma: Tensor) -> Tensor:
        return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2

    return Weighting(level, weight)


def noise(level: Callable[[Tensor], Tensor]) -> Weighting:
    """The error of the noise, the same at every level: `level` of the law that the network learns under."""
    return Weighting(level, lambda sigma: 1 / sigma**2)


def likelihood(sigma_max: float, sigma_min: float) -> Weighting:
    """Half of the loss, summed over the numbers of an image, bounds its negative log-likelihood up to a constant."""
    span = math.log(sigma_max / sigma_min)
    return Weighting(lambda u: sigma_min * torch.exp(span * u), lambda sigma: 2 * span / sigma**2)


def denoising(
    D: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    generator: torch.Generator,
    weighting: Weighting,
    world: World = ALONE,
) -> Tensor:
    """The weighted denoising loss of each item, (b,), a mean over its numbers.

    The noise levels of a batch are stratified (one u per B-th of [0, 1]): same expectation, less variance. Levels and
    noise are drawn for the whole batch, on the generator's device, and moved to x.

    Args:
        D: the denoiser to be trained, (b, C, H, W) and sigma (b,) -> (b, C, H, W), e.g. a `NetworkPrior`.
        x: this process's share (b, C, H, W) of a batch of B, in network units.
        generator: in the same state on every process.
        weighting: of the levels.
        world: the processes that share the batch.
    """
    B = world.size * x.shape[0]
    mine = world.share(B)
    u = (torch.randperm(B, generator=generator) + torch.rand(B, generator=generator)) / B
    sigma = per_item(weighting.level(u)[mine].to(x.device), x)
    z = torch.randn((B, *x.shape[1:]), generator=generator)[mine].to(x.device)
    error = D(x + sigma * z, sigma.flatten()) - x
    return (weighting.weight(sigma) * error**2).mean((1, 2, 3))
