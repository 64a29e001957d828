"""Predictor and corrector of Song et al. 2021 (App. F, G), for every law of noise.

With the forward transition from s to t > s, x_t = a x_s + G z, a = alpha_t / alpha_s, G² = sigma_t² - a² sigma_s²:

    reverse diffusion   x_s = (2 - a) x_t + G² score(x_t, t) + G z                        (eq. 46-47; VP, VE: Alg. 2, 3)
    Langevin            x <- x + e score(x, t) + sqrt(2 e) z,   e = 2 a² (snr |z| / |score|)²          (Alg. 4, 5)

Norms are taken per item, and |z| is its expectation sqrt(n): a step length that depended on the noise it multiplies
would inflate that noise by 2/n. Both return the image before the last noise is added too, so that a run can end
noise free.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..score import Prior, per_item, score
from ..sde import SDE
from .loop import ItemNoise


def transition(sde: SDE, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """(a, G) of the forward step from s to t: x_t = a x_s + G z."""
    a = sde.alpha(t) / sde.alpha(s)
    return a, torch.sqrt((sde.sigma(t) ** 2 - (a * sde.sigma(s)) ** 2).clamp_min(0))


def reverse_diffusion(
    prior: Prior, x: Tensor, t: Tensor, s: Tensor, sde: SDE, noise: ItemNoise
) -> tuple[Tensor, Tensor]:
    """One predictor step from t to s < t: (x_s, its mean), one network evaluation. x is (B, C, H, W)."""
    a, G = transition(sde, per_item(t, x), per_item(s, x))
    mean = (2 - a) * x + G**2 * score(prior, x, t, sde)
    return mean + G * noise.like(x), mean


def langevin(
    prior: Prior, x: Tensor, t: Tensor, s: Tensor, sde: SDE, snr: float, noise: ItemNoise
) -> tuple[Tensor, Tensor]:
    """One corrector step at t (s is the next time, for the VP scale a²): (x, its mean), one network evaluation."""
    a, _ = transition(sde, per_item(t, x), per_item(s, x))
    grad, z = score(prior, x, t, sde), noise.like(x)
    norm = grad.flatten(1).norm(dim=1).view(-1, 1, 1, 1).clamp_min(1e-12)
    e = 2 * a**2 * (snr * x[0].numel() ** 0.5 / norm) ** 2
    mean = x + e * grad
    return mean + torch.sqrt(2 * e) * z, mean
