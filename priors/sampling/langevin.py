"""Annealed Langevin dynamics (Song & Ermon 2019, Alg. 1; 2020, Alg. 1): at each noise level, from the largest to the
smallest, T steps

    x <- x + a_i score(x, sigma_i) + sqrt(2 a_i) z,        a_i = epsilon sigma_i² / sigma_L²,

and at the end D(x, sigma_L) (2020: the noise left is invisible, but counts in every figure of merit).

    NCSN     levels log_snr_levels(10, 1, 0.01), T = 100, epsilon = 2e-5, not denoised; images in [0, 1]
    NCSNv2   levels ncsnv2_levels(sigma_max, 0.01, C H W), sigma_max the largest distance of two images;
             T = 3 or 5, epsilon = ncsnv2_epsilon(levels, T), denoised

The first paper writes a_i / 2 for the step; its code, which ran with 2e-5, has a_i. Both begin with uniform noise in
[0, 1], here it is sigma_1 z, which suits any units. `ncsnv2_epsilon` gives the paper's 6.2e-6, 3.3e-6 and 9e-7
(CIFAR-10, CelebA, FFHQ); its L (232, 500, 2311) lie 6 % above `ncsnv2_levels` of the same images: its 0.5 is 0.57.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm

from ..score import Prior
from .loop import Counted, ItemNoise, Samples, log_snr_levels


@torch.no_grad()
def annealed_langevin(
    prior: Prior,
    shape: tuple[int, int],
    seeds: Sequence[int],
    levels: Sequence[float],
    steps: int,
    epsilon: float,
    denoised: bool = True,
    device: torch.device | str = "cpu",
) -> Samples:
    """Unconditional images (len(seeds), C, H, W) on the prior's `device`, by L T evaluations, one more if denoised.

    Args:
        shape: (H, W).
        seeds: one an image, which depends on nothing else.
        levels: sigma_1 > ... > sigma_L.
        steps: T at each level.
        epsilon: step length at sigma_L.
        denoised: ends with D(x, sigma_L).
    """
    model, noise = Counted(prior), ItemNoise(seeds)
    x = levels[0] * noise.like(torch.zeros(len(seeds), prior.channels, *shape, device=device))
    for sigma in levels:
        a = epsilon * sigma**2 / levels[-1] ** 2
        for _ in range(steps):
            score = (model.denoise(x, sigma) - x) / sigma**2
            x = x + a * score + math.sqrt(2 * a) * noise.like(x)
    if denoised:
        x = model.denoise(x, levels[-1])
    return Samples(x, model.evaluations)


def ncsnv2_levels(sigma_max: float, sigma_min: float, numbers: int) -> list[float]:
    """Geometric levels so near that half of the noise of one is seen at the next, for images of `numbers` = C H W
    (Song & Ermon 2020, Technique 2):  Phi(sqrt(2 n) (r - 1) + 3 r) - Phi(sqrt(2 n) (r - 1) - 3 r) = 0.5."""

    def overlap(r: float) -> float:
        shift = math.sqrt(2 * numbers) * (r - 1)
        return float(norm.cdf(shift + 3 * r) - norm.cdf(shift - 3 * r)) - 0.5

    r = float(brentq(overlap, 1.0, 1 + 10 / math.sqrt(numbers)))  # type: ignore[arg-type]
    return log_snr_levels(1 + math.ceil(math.log(sigma_max / sigma_min) / math.log(r)), sigma_max, sigma_min)


def ncsnv2_epsilon(levels: Sequence[float], steps: int) -> float:
    """The epsilon with which T steps bring pure noise from level to level best (Song & Ermon 2020, Technique 4): with
    eta = epsilon / sigma_L² and r the ratio of two levels, the variance over sigma_i² after them,

        (1 - eta)^2T (r² - v) + v,     v = 2 / (2 - eta),

    comes as near to 1 as it can. Levels are geometric."""
    r = levels[0] / levels[1]

    def excess(log_eta: float) -> float:
        eta = math.exp(log_eta)
        v = 2 / (2 - eta)
        return (1 - eta) ** (2 * steps) * (r**2 - v) + v - 1

    best = minimize_scalar(excess, bounds=(math.log(1e-8), 0.0), method="bounded", options={"xatol": 1e-8})
    return math.exp(float(best.x)) * levels[-1] ** 2
