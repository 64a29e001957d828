"""Correctors: one step of Langevin dynamics at a fixed time t, which draws x towards p_t, by one network evaluation,

    x <- x + e score(x, t) + sqrt(2 e) z.

    Langevin   e = 2 a² (snr |z| / |score|)²       Song et al. 2021, Alg. 4, 5
    annealed   e = 2 a² (snr sigma_t)²             Song & Ermon 2019, as a corrector
    none       e = 0                               (`predictors.none`)

a = alpha_t / alpha_s for the next time s (the paper's scale alpha_i of VP; 1 for VE). Norms are taken per item, and |z|
is its expectation sqrt(n): a step length that depended on the noise it multiplies would inflate that noise by 2 / n.
|score| does depend on x, and e with it, so that the Langevin corrector settles at p_t |score|² rather than at p_t. Of
a Gaussian with variances v_i it inflates v_i by 2 v_i^-1 / sum_j v_j^-1, which is 2 / n on the average and nothing on
images; on tiny ones take `annealed`. (The papers' code averages norms over the batch, and couples its images.)

Both return the image and what it was before the noise was added.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..score import Prior, per_item, score
from ..sde import SDE
from .loop import NoiseSource
from .predictors import transition


class Corrector(Protocol):
    """x (B, C, H, W) at time t; s is the next time. Returns (x, x before its noise)."""

    def __call__(
        self, prior: Prior, x: Tensor, t: Tensor, s: Tensor, sde: SDE, *, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]: ...


def langevin(
    prior: Prior, x: Tensor, t: Tensor, s: Tensor, sde: SDE, snr: float, noise: NoiseSource
) -> tuple[Tensor, Tensor]:
    """`snr`: length of the score's part of a step, as a fraction of the noise's over sqrt(2) (0.16 in the paper)."""
    a, _ = transition(sde, per_item(t, x), per_item(s, x))
    grad, z = score(prior, x, t, sde), noise.like(x)
    norm = torch.linalg.vector_norm(grad, dim=(1, 2, 3), keepdim=True, dtype=torch.float64)
    e = 2 * a**2 * (snr * x[0].numel() ** 0.5 / norm.to(x.dtype).clamp_min(1e-12)) ** 2
    mean = x + e * grad
    return mean + torch.sqrt(2 * e) * z, mean


def annealed(
    prior: Prior, x: Tensor, t: Tensor, s: Tensor, sde: SDE, snr: float, noise: NoiseSource
) -> tuple[Tensor, Tensor]:
    """`snr`: as `langevin`'s where x is pure noise; the step does not depend on x."""
    a, _ = transition(sde, per_item(t, x), per_item(s, x))
    e = 2 * a**2 * (snr * per_item(sde.sigma(t), x)) ** 2
    mean = x + e * score(prior, x, t, sde)
    return mean + torch.sqrt(2 * e) * noise.like(x), mean
