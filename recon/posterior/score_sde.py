"""Replacement (Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole, ICLR 2021, App. I.2), the first way to use a
score-based prior on a measurement. After each predictor and after each corrector step of the unconditional reverse SDE
the measured coordinates are replaced by the data at the level of the noise,

    x <- (I - Lambda) x + Lambda (alpha y + sigma z)                  a mask Lambda in an orthogonal basis

and at the end the clean ones. For any other A (multi-coil, CT) the replacement is the projection of Song et al. 2022
(projection.py), which is this one where A is such a mask: two of them a step here, with lambda = 1 and after the moves,
one there, with lambda < 1 and before them. NFE = 2 steps. It takes the data as free of noise.
"""

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
from ...priors.sde import SDE
from ..options import Space
from .method import PosteriorMethod
from .posed import Posed
from .projection import LAW, project, with_data


@dataclass(frozen=True)
class ScoreSDE(PosteriorMethod):
    """Predictor-corrector sampling with the data put in after each step; NFE = 2 steps.

    Attributes:
        steps: N (1000 in the paper).
        snr: of the Langevin corrector (0.16 in the paper).
        sde: law of noise.
        cg: conjugate gradient steps of the replacement.
    """

    name = "score-sde"
    line = "replacement after each step"
    reference = "Song et al., ICLR 2021"
    uncertainty = "about right, mean biased; for nearly noise-free data"
    space: ClassVar[Space] = {"snr": (0.05, 0.4)}
    suite = ("steps=50",)

    steps: int = 1000
    snr: float = 0.16
    sde: SDE = LAW
    cg: int = 15

    def __post_init__(self) -> None:
        self.require(self.steps >= 1 and self.cg >= 1 and self.snr >= 0, "steps >= 1, cg >= 1 and snr >= 0")

    @property
    def nfe(self) -> int:
        return 2 * self.steps

    def trajectory(self, posed: Posed, noise: NoiseSource) -> Iterator[Tensor]:
        sde, prior = self.sde, posed.prior
        times = torch.linspace(1, 1e-5, self.steps + 1, dtype=torch.float64)
        x = to_channels(float(sde.sigma(times[0])) * noise.like(posed.initial), prior.channels)

        def replaced(x: Tensor, t: Tensor) -> Tensor:
            alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
            x = project(posed, from_channels(x) / alpha, sigma / alpha, 1.0, self.cg, noise)
            return to_channels(alpha * x, prior.channels)

        for t, s in pairwise(times):
            x, _ = reverse_diffusion(prior, x, t, s, sde, noise)
            x, mean = langevin(prior, replaced(x, s), s, s, sde, self.snr, noise)
            x, clean = replaced(x, s), from_channels(mean) / float(sde.alpha(s))
            if s == times[-1]:
                clean = with_data(posed, clean, 4 * self.cg)
            yield clean
