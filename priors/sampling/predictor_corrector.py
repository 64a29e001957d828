"""Predictor-corrector sampling (Song et al. 2021, Alg. 1): any predictor with any corrector under any law of noise.

    x <- sigma(t_1) z
    for t, s in pairs of t_1 > t_2 > ... > t_N:
        x <- corrector at t
        x <- predictor from t to s
    x <- corrector at t_N
    D(x / alpha, sigma / alpha) at t_N

The last line takes away the noise that t_N has, and is what the last step of the published samplers does (the step to
sigma = 0 of EDM, DDIM and ancestral sampling, the noise-free mean of score_sde). With p and c evaluations a predictor's
and a corrector's step that makes (N - 1) p + N c + 1: N for one-step predictors alone, 2 N - 1 for Heun, 2 N for a
predictor with a corrector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from ..score import Prior
from ..sde import SDE
from .correctors import Corrector, langevin
from .loop import Counted, ItemNoise, Samples, Tempered
from .predictors import Predictor, reverse_diffusion

PAPER_CORRECTOR: Corrector = partial(langevin, snr=0.16)  # Song et al. 2021, App. G: CIFAR-10


@dataclass(frozen=True)
class Scheme:
    """What is done at each time.

    Attributes:
        predictor, corrector: functions of predictors.py and correctors.py, their parameters bound by `partial`.
        temperature: scale of the noise that the steps inject; the noise at the start is not scaled.
    """

    predictor: Predictor = reverse_diffusion
    corrector: Corrector = PAPER_CORRECTOR
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"Scheme: got temperature={self.temperature}, expected 0 or more")


PAPER = Scheme()


@torch.no_grad()
def sample(
    prior: Prior,
    shape: tuple[int, int],
    seeds: Sequence[int],
    times: Tensor,
    sde: SDE,
    scheme: Scheme = PAPER,
    device: torch.device | str = "cpu",
) -> Samples:
    """Unconditional images (len(seeds), C, H, W) on the prior's `device`.

    Args:
        shape: (H, W).
        seeds: one an image, which depends on nothing else.
        times: (N,), descending, of `sde`: `uniform_times(N, sde)`, `level_times(karras_levels(N, 80, 0.002), sde)`.
        scheme: the steps; Song et al.'s for CIFAR-10 by default.

    Raises:
        ValueError: times that are not descending.
    """
    if times.ndim != 1 or len(times) < 1 or not bool((times.diff() < 0).all()):
        raise ValueError(f"sample: got times {times.tolist()}, expected one or more, descending")
    model, start = Counted(prior), ItemNoise(seeds)
    noise = Tempered(start, scheme.temperature)
    x = float(sde.sigma(times[0])) * start.like(
        torch.zeros(len(seeds), prior.channels, *shape, device=device)
    )
    for t, s in pairwise(times):
        x, _ = scheme.corrector(model, x, t, s, sde, noise=noise)
        x, _ = scheme.predictor(model, x, t, s, sde, noise=noise)
    last = times[-1]
    x, _ = scheme.corrector(model, x, last, last, sde, noise=noise)
    alpha, sigma = float(sde.alpha(last)), float(sde.sigma(last))
    return Samples(model.denoise(x / alpha, sigma / alpha), model.evaluations)
