"""Losses for learning a score without a noisy copy of the data. All have, up to a constant of the data, the expectation

    ½ E || s(x) - grad log p(x) ||²,

that of one direction v for `sliced`, with E v v^T = I (Rademacher or Gaussian):

    exact             ½ |s|² + tr ds/dx                      Hyvärinen 2005, eq. 4
    sliced            ½ (v^T s)² + v^T (ds/dx) v             Song, Garg et al. 2019, eq. 7
    sliced_reduced    ½ |s|² + v^T (ds/dx) v                 eq. 8: less variance, as a rule

`exact` takes n backward passes for n numbers an image, the others one. For a score at a noise level (Song & Ermon 2019,
App. B) give x + sigma z for x. A score is a function of one item alone: no batch normalisation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]  # (b, ...) -> (b, ...)


def exact(score: Score, x: Tensor) -> Tensor:
    """The loss of each item, (b,), differentiable in the score's parameters."""
    x = x.detach().requires_grad_(True)
    s = score(x).flatten(1)
    rows = [torch.autograd.grad(s[:, k].sum(), x, create_graph=True)[0] for k in range(s.shape[1])]
    trace = sum((row.flatten(1)[:, k] for k, row in enumerate(rows)), torch.zeros_like(s[:, 0]))
    return 0.5 * s.square().sum(1) + trace


def sliced(score: Score, x: Tensor, v: Tensor) -> Tensor:
    """The loss of each item, (b,), along v (b, ...), one random direction an item."""
    projection, curvature, _ = _along(score, x, v)
    return 0.5 * projection**2 + curvature


def sliced_reduced(score: Score, x: Tensor, v: Tensor) -> Tensor:
    """As `sliced`, with |s|² for (v^T s)², its mean over v."""
    _, curvature, s = _along(score, x, v)
    return 0.5 * s.flatten(1).square().sum(1) + curvature


def _along(score: Score, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """v^T s and v^T (ds/dx) v of each item, (b,), and s."""
    x = x.detach().requires_grad_(True)
    s = score(x)
    projection = (v * s).flatten(1).sum(1)
    (gradient,) = torch.autograd.grad(projection.sum(), x, create_graph=True)
    return projection, (v * gradient).flatten(1).sum(1), s
