"""Losses for learning a score.

Denoising score matching (Vincent 2011) in the form of Karras et al. 2022, eq. 2 with their loss weight
lambda(sigma) = 1 / c_out²:

    E_{x, sigma, z}  lambda(sigma) || D(x + sigma z, sigma) - x ||²,      log sigma ~ N(P_mean, P_std²).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .score import NetworkPrior, per_item


def denoising(
    prior: NetworkPrior, x: Tensor, generator: torch.Generator, p_mean: float = -1.4, p_std: float = 1.4
) -> Tensor:
    """The weighted denoising loss of each item, (B,), x (B, C, H, W) in network units.

    The noise levels of a batch are stratified (one per B-quantile of the log-normal): same expectation, less variance.
    Noise is drawn on the generator's device and moved to x.
    """
    B = x.shape[0]
    u = (torch.randperm(B, generator=generator) + torch.rand(B, generator=generator)) / B
    sigma = per_item(torch.exp(p_mean + p_std * torch.special.ndtri(u.clamp(1e-4, 1 - 1e-4))).to(x.device), x)
    noise = torch.randn(x.shape, generator=generator).to(x.device)
    weight = (sigma**2 + prior.sigma_data**2) / (sigma * prior.sigma_data) ** 2
    error = prior(x + sigma * noise, sigma.flatten()) - x
    return (weight * error**2).mean((1, 2, 3))
