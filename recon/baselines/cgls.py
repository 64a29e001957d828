"""CGLS: conjugate gradients on weighted least squares (Hestenes & Stiefel 1952; Björck, Numerical Methods for Least
Squares Problems, 1996, alg. 7.4.1),

    min_x  ½ || W^½ (A x - y) ||²,

for real and complex operators. From a zero image it converges to the solution of least norm, and on the way there it is
regularised by its number of steps alone: large singular values first, the noise last (semi-convergence; Hansen,
Discrete Inverse Problems, 2010, 6.3). The discrepancy principle says when to stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...modality import Modality
from ...operators.linear import LinearOperator
from ...operators.solve import inner
from ..options import Space
from ..problem import Problem
from ..weights import over, until_discrepancy, weighted
from .fbp import bridged
from .method import Baseline


@torch.no_grad()
def cgls(
    y: Tensor,
    operator: LinearOperator,
    iterations: int = 30,
    weights: Tensor | None = None,
    misfit: float | None = None,
    tolerance: float = 1e-6,
    start: Tensor | None = None,
) -> Tensor:
    """CGLS, every item of the batch by itself.

    Args:
        y: measurements, (B, *range).
        operator: A.
        iterations: at most so many, each with one A and one A^H.
        weights: W, 1 / variance, broadcastable to y; None: all alike.
        misfit: an item stops when || W^½ (A x - y) ||² is at most this; with W = 1 / variance the number of
            measurements (discrepancy principle). None: never.
        tolerance: an item stops when its gradient has fallen to this part of the first.
        start: the image (B, H, W) to start from; None: zero.

    Returns:
        (B, H, W), in the units of the operator's images.

    Raises:
        ValueError: for no iterations, negative weights or misfit.
    """
    if iterations < 1 or (misfit is not None and misfit < 0):
        raise ValueError(
            f"cgls: got iterations={iterations}, misfit={misfit}; expected at least 1, and a misfit of at least 0"
        )
    r, A = weighted(y, operator, weights)
    if start is not None:
        r = r - A(start)
    s = A.adjoint(r)
    x = torch.zeros_like(s) if start is None else start
    p, gamma = s, inner(s, s)  # (B, 1, 1)
    flat = tolerance**2 * gamma
    for _ in range(iterations):
        active = gamma > flat
        if misfit is not None:
            active = active & (over(inner(r, r), x) > misfit)
        if not bool(active.any()):
            break
        q = A(p)
        alpha = torch.where(active, gamma / over(inner(q, q), x).clamp_min(1e-38), 0)
        x = x + alpha * p
        r = r - over(alpha, r) * q
        s = A.adjoint(r)
        gamma_next = inner(s, s)
        p = torch.where(active, s + gamma_next / gamma.clamp_min(1e-38) * p, p)
        gamma = torch.where(active, gamma_next, gamma)
    return x


@dataclass(frozen=True)
class CGLS(Baseline):
    """Conjugate gradients on weighted least squares.

    Attributes:
        iterations: at most so many; the discrepancy principle stops before.
    """

    name = "cgls"
    line = "CT: conjugate gradients on least squares, weighted by the noise"
    reference = "Hestenes & Stiefel, 1952"
    space: ClassVar[Space] = {"iterations": (3, 200)}
    title, scans = "CGLS", (Modality.CT,)
    iterations: int = 100

    def image(self, problem: Problem) -> Tensor:
        y, W, m = until_discrepancy(problem)
        return cgls(y, problem.operator, self.iterations, W, m, start=bridged(problem))
