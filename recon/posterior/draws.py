"""Draws: DDS's descent (Chung, Lee & Ye 2024) with draws where it has its optimum, after DAPS (Zhang et al. 2025).

At noise level s, from x = u + s z:

    D = D(x, s)                                                          Tweedie
    C = gamma s² √v,  v a map of the image's uncertainty (covariance.py)
    u ~ N(D, C) p(y | u)                                                 exact as the conjugate gradients converge
    x = u + s' z                                                         all noise renewed

Were the law of x_0 given x that Gaussian, u would be a draw of p(x_0 | x, y) and every level's marginal exact (DAPS,
Prop. 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ...operators.solve import inner
from ...priors.sampling.loop import Noise, karras_levels
from .base import Posed, PosteriorMethod
from .covariance import SteinDiagonal


@dataclass(frozen=True)
class Draws(PosteriorMethod):
    steps: int = 50
    gamma: float = 4.0
    width: float = 1.25
    more: int = 1
    cg: int = 0
    sigma_start: float = 0.5
    sigma_min: float = 0.005
    matched: bool = False
    root: float = 1.0
    final: float = 1.0

    def steps_in_all(self) -> int:
        return self.steps

    def trajectory(self, posed: Posed, noise: Noise) -> Iterator[Tensor]:
        levels = [*karras_levels(self.steps, self.sigma_start, self.sigma_min), 0.0]
        cg = self.cg or posed.data_step.enough
        u, fresh, z, diagonal = posed.initial, levels[0], noise.like(posed.initial), SteinDiagonal()
        for s, s_next in pairwise(levels):
            D = posed.denoise(u + fresh * z, s)
            V = s**2 * diagonal(D, u, z, fresh) ** self.root
            gamma = self.gamma or posed.undersampling.clamp_min(2.0)
            C = self.width * V
            e, n = C**0.5 * noise.like(u), noise.like(posed.y) / posed.weights.sqrt()
            posed._noise_step.forget()
            around = posed._noise_step(e, C, cg * self.more, y=n)
            u = posed.data_step(D, gamma * V, cg) + around
            fresh, z = s_next, noise.like(u)
            yield u
