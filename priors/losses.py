"""Losses for learning a score.

Denoising score matching (Vincent 2011) in the form of Karras et al. 2022, eq. 2 with their loss weight
lambda(sigma) = 1 / c_out²:

    E_{x, sigma, z}  lambda(sigma) || D(x + sigma z, sigma) - x ||²,      log sigma ~ N(P_mean, P_std²).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .parallel import ALONE, World
from .score import per_item


def denoising(
    D: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    generator: torch.Generator,
    sigma_data: float,
    p_mean: float = -1.4,
    p_std: float = 1.4,
    world: World = ALONE,
) -> Tensor:
    """The weighted denoising loss of each item, (b,).

    The noise levels of a batch are stratified (one per B-quantile of the log-normal): same expectation, less variance.
    Levels and noise are drawn for the whole batch, on the generator's device, and moved to x.

    Args:
        D: the denoiser to be trained, (b, C, H, W) and sigma (b,) -> (b, C, H, W), e.g. a `NetworkPrior`.
        x: this process's share (b, C, H, W) of a batch of B, in network units.
        generator: in the same state on every process.
        sigma_data: standard deviation of the data in network units.
        p_mean, p_std: of log sigma.
        world: the processes that share the batch.
    """
    B = world.size * x.shape[0]
    mine = world.share(B)
    u = (torch.randperm(B, generator=generator) + torch.rand(B, generator=generator)) / B
    sigma = torch.exp(p_mean + p_std * torch.special.ndtri(u.clamp(1e-4, 1 - 1e-4)))
    sigma = per_item(sigma[mine].to(x.device), x)
    noise = torch.randn((B, *x.shape[1:]), generator=generator)[mine].to(x.device)
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    error = D(x + sigma * noise, sigma.flatten()) - x
    return (weight * error**2).mean((1, 2, 3))
