"""SIRT, simultaneous iterative reconstruction, weighted by the noise (Gilbert, J. Theor. Biol. 36, 105, 1972):

    x <- P+ [ x + A^T W (y - A x) / (A^T W A 1) ]

Without weights W = 1 / (A 1), the inverse row sums, and the divisor is the column sums of A: SIRT as Gregor & Benson
(IEEE Trans. Med. Imaging 27, 918, 2008) write it. With W = 1 / variance it is the separable surrogate of Erdogan &
Fessler (Phys. Med. Biol. 44, 2835, 1999). For A >= 0 the weighted misfit falls at each step, towards the
(nonnegative) weighted least squares; first the large shapes, last the noise: stop early.
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
def sirt(
    y: Tensor,
    operator: LinearOperator,
    iterations: int = 200,
    weights: Tensor | None = None,
    misfit: float | None = None,
    nonnegative: bool = True,
    start: Tensor | None = None,
) -> Tensor:
    """SIRT, every item of the batch by itself.

    Args:
        y: measurements, (B, *range), real.
        operator: A >= 0, e.g. `Radon`.
        iterations: at most so many, each with one A and one A^T.
        weights: W, 1 / variance, broadcastable to y; None: the inverse row sums of A.
        misfit: an item stops when || W^½ (A x - y) ||² is at most this; with W = 1 / variance the number of
            measurements (discrepancy principle). None: never.
        nonnegative: P+ keeps x >= 0; False: no projection.
        start: the image (B, H, W) to start from; None: zero.

    Returns:
        (B, H, W), in the units of the operator's images.

    Raises:
        ValueError: for a complex operator, no iterations, negative weights or misfit.
    """
    if operator.domain_complex or operator.range_complex:
        raise ValueError(f"sirt: got {operator!r}, expected a real operator with entries >= 0; use cgls")
    if iterations < 1 or (misfit is not None and misfit < 0):
        raise ValueError(
            f"sirt: got iterations={iterations}, misfit={misfit}; expected at least 1, and a misfit of at least 0"
        )
    ones = y.new_ones(len(y), *operator.domain)
    if weights is None:
        weights = _inverse(operator(ones))
    y, A = weighted(y, operator, weights)
    step = _inverse(A.adjoint(A(ones)))
    x = torch.zeros_like(ones) if start is None else start
    x = x.clamp_min(0) if nonnegative else x
    for _ in range(iterations):
        r = y - A(x)
        active = inner(r, r) > misfit if misfit is not None else inner(r, r) > 0
        if not bool(active.any()):
            break
        x_next = x + step * A.adjoint(r)
        x = torch.where(over(active, x), x_next.clamp_min(0) if nonnegative else x_next, x)
    return x


def _inverse(sums: Tensor) -> Tensor:
    """1 / sums, and 0 where nothing was summed."""
    return torch.where(sums > 0, 1 / sums.clamp_min(1e-30), 0)


@dataclass(frozen=True)
class SIRT(Baseline):
    """Simultaneous iterative reconstruction.

    Attributes:
        iterations: at most so many.
        nonnegative: keep the image >= 0.
    """

    name = "sirt"
    line = "CT: simultaneous iterations, weighted by the noise, nonnegative"
    reference = "Gilbert, 1972"
    space: ClassVar[Space] = {"iterations": (20, 1000)}
    title, scans = "SIRT", (Modality.CT,)
    iterations: int = 200
    nonnegative: bool = True

    def image(self, problem: Problem) -> Tensor:
        y, W, m = until_discrepancy(problem)
        x = bridged(problem)
        return sirt(y, problem.operator, self.iterations, W, m, self.nonnegative, x)
