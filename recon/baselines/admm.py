"""ADMM-TV: the objective of FISTA-TV (tv.py), by splitting,

    min_x  ½ || W^½ (A x - y) ||²  +  lambda TV(x)      (and x >= 0 for real images).

Alternating direction method of multipliers (Boyd et al., Found. Trends Mach. Learn. 3, 1, 2011, scaled form 3.1.1) with
z = D x, D the gradient, and v = x >= 0:

    x = argmin ½ |A x - y|²_W + rho/2 |D x - z + u|² + rho/2 |x - v + w|²    by a few conjugate gradients
    z = shrink(D x + u, lambda / rho),        u <- u + D x - z               the length of each pixel's gradient
    v = max(x + w, 0),                        w <- w + x - v

rho is such that the threshold lambda / rho is a tenth of the image's range; balancing the residuals (3.4.1) was slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...modality import Modality
from ...operators.linear import LinearOperator
from ...operators.solve import conjugate_gradients
from ..options import Space
from ..problem import Problem
from ..weights import noise_weights, over, squared_norms, weighted
from .fbp import bridged
from .method import Baseline
from .tv import check_tv, gradient, gradient_adjoint

_THRESHOLD = 0.1  # lambda / rho relative to max |A^H W y| / ||W^½ A||²


@torch.no_grad()
def admm_tv(
    y: Tensor,
    operator: LinearOperator,
    weight: float,
    iterations: int = 100,
    weights: Tensor | None = None,
    nonnegative: bool = True,
    inner_steps: int = 5,
    start: Tensor | None = None,
) -> Tensor:
    """ADMM-TV, every item of the batch by itself.

    Args:
        y: measurements, (B, *range).
        operator: A; its images are (H, W).
        weight: lambda relative to max |A^H W y|, as in `fista_tv`.
        iterations: of ADMM.
        weights: W, statistical weights (1 / variance) broadcastable to y; None: all alike.
        nonnegative: keep real images >= 0. Complex images have no sign; there it does nothing.
        inner_steps: conjugate gradients in each x, each with one A and one A^H.
        start: the image (B, H, W) to start from; None: zero.

    Returns:
        (B, H, W), in the units of the operator's images.

    Raises:
        ValueError: for a negative weight, negative statistical weights, or images that are not (H, W).
    """
    check_tv("admm_tv", operator, weight, iterations, inner_steps)
    y, A = weighted(y, operator, weights)
    At_y = A.adjoint(y)
    positive = nonnegative and not operator.domain_complex
    scale = At_y.abs().amax((1, 2), keepdim=True).clamp_min(1e-30)  # (B, 1, 1)
    lam = weight * scale
    rho = max(weight, 1e-6) / _THRESHOLD * squared_norms(A, len(y), y.device)

    x = torch.zeros_like(At_y) if start is None else start
    z, v = gradient(x), x
    u, w = torch.zeros_like(z), torch.zeros_like(x)

    def normal(x: Tensor) -> Tensor:
        near = gradient_adjoint(gradient(x))
        return A.normal(x) + rho * (near + x if positive else near)

    for _ in range(iterations):
        near = gradient_adjoint(z - u)
        x = conjugate_gradients(
            normal, At_y + rho * (near + v - w if positive else near), x, iterations=inner_steps
        )
        Dx = gradient(x)
        z = _shrink(Dx + u, over(lam / rho, z))
        u = u + Dx - z
        if positive:
            v = (x + w).clamp_min(0)
            w = w + x - v
    return v if positive else x


def _shrink(p: Tensor, threshold: Tensor) -> Tensor:
    """Shortens the gradient of each pixel, (B, 2, H, W), by the threshold, (B, 1, 1, 1); to zero at most."""
    length = p.abs().square().sum(1, keepdim=True).sqrt()
    return p * (1 - threshold / length.clamp_min(1e-38)).clamp_min(0)


@dataclass(frozen=True)
class AdmmTV(Baseline):
    """Total variation by ADMM.

    Attributes:
        weight: lambda relative to max |A^H W y|: 1e-5 (clean) to 1e-1.
        iterations: of ADMM.
    """

    name = "admm-tv"
    line = "the same total variation by ADMM"
    reference = "Boyd et al., 2011"
    space: ClassVar[Space] = {"weight": (1e-5, 0.1)}
    title, scans = "ADMM-TV", (Modality.CT, Modality.MR)
    weight: float = 1e-3
    iterations: int = 60

    def image(self, problem: Problem) -> Tensor:
        W, x = noise_weights(problem), bridged(problem)
        return admm_tv(problem.y, problem.operator, self.weight, self.iterations, W, start=x)
