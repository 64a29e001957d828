"""RED-diff (Mardani, Song, Kautz & Vahdat, ICLR 2024, Alg. 1): variational, with a point mu for the posterior's mean.
Down the levels, at each one Adam step on

    |y - A mu|² + lambda (s)  sg[eps(x) - eps]^T mu,       x = mu + s eps,  eps(x) = (x - D(x, s)) / s

whose gradient is A^H (A mu - y) + lambda (mu - D(x, s)). NFE = steps (the paper: 1000).

Free of scale: the data's gradient is taken for an operator whose mean eigenvalue, of A^H A where something is measured,
is 1, as the paper's have. (By the largest, in CT far above the mean, the prior outweighed the data.) Adam, which is
blind to the scale of a loss, works number by number: images of a batch do not meet. Traps: with the weight s of the
paper (its best) lambda does not know the noise of the data: raise it for noisy data; the answer has nearly no spread,
it is one estimate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...priors.sampling.loop import NoiseSource
from ..options import Space
from .descent import Annealed
from .posed import Posed


@dataclass(frozen=True)
class REDdiff(Annealed):
    """Regularisation by denoising diffusion; NFE = steps.

    Attributes:
        lambda_: weight of the prior.
        rate: Adam's step length, of images in [-1, 1].
    """

    name = "reddiff"
    line = "an estimate by optimisation, no sample"
    reference = "Mardani et al., ICLR 2024"
    uncertainty = "not a spread: one estimate"
    space: ClassVar[Space] = {"lambda_": (0.01, 10.0), "rate": (0.01, 0.5)}
    suite = ("steps=100",)

    steps: int = 1000
    lambda_: float = 0.25
    rate: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.lambda_ > 0 and self.rate > 0, "lambda_ > 0 and rate > 0")

    def trajectory(self, posed: Posed, noise: NoiseSource) -> Iterator[Tensor]:
        mu = posed.initial.clone()
        adam = torch.optim.Adam([mu], lr=self.rate, betas=(0.9, 0.99))
        for s in self.levels():
            D = posed.denoise(mu + s * noise.like(mu), s)
            mu.grad = self.lambda_ * (mu - D) - posed.misfit(mu)[0] / posed.mean_gain
            adam.step()
            yield mu.clone()
