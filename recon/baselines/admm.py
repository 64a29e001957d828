"""ADMM-TV: the objective of FISTA-TV (tv.py), by splitting,

    min_x  ½ || W^½ (A x - y) ||²  +  lambda TV(x)      (and x >= 0 for real images).

Alternating direction method of multipliers (Boyd et al., Found. Trends Mach. Learn. 3, 1, 2011, scaled form 3.1.1) with
z = D x, D the gradient, and v = x >= 0:

    x = argmin ½ |A x - y|²_W + rho/2 |D x - z + u|² + rho/2 |x - v + w|²    by a few conjugate gradients
    z = shrink(D x + u, lambda / rho),        u <- u + D x - z               the length of each pixel's gradient
    v = max(x + w, 0),                        w <- w + x - v

rho starts so that the threshold lambda / rho is 3 % of the image's range, and is doubled or halved where the primal and
dual residuals differ by more than ten times (3.4.1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...operators.linear import LinearOperator
from ...operators.solve import conjugate_gradients, inner
from .tv import check_tv, gradient, gradient_adjoint
from .weights import over, squared_norms, weighted

_THRESHOLD = 0.03  # lambda / rho at the start, relative to max |A^H W y| / ||W^½ A||²
_BALANCE, _EVERY = 10.0, 5  # residuals may differ so much; rho is looked at every so many iterations


@torch.no_grad()
def admm_tv(
    y: Tensor,
    operator: LinearOperator,
    weight: float,
    iterations: int = 100,
    weights: Tensor | None = None,
    nonnegative: bool = True,
    inner_steps: int = 5,
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

    x = torch.zeros_like(At_y)
    z, v = gradient(x), x
    u, w = torch.zeros_like(z), torch.zeros_like(x)
    for k in range(iterations):

        def normal(x: Tensor, rho: Tensor = rho) -> Tensor:
            near = gradient_adjoint(gradient(x))
            return A.normal(x) + rho * (near + x if positive else near)

        near = gradient_adjoint(z - u)
        x = conjugate_gradients(
            normal, At_y + rho * (near + v - w if positive else near), x, iterations=inner_steps
        )
        Dx, z_last, v_last = gradient(x), z, v
        z = _shrink(Dx + u, over(lam / rho, z))
        u = u + Dx - z
        if positive:
            v = (x + w).clamp_min(0)
            w = w + x - v
        if (k + 1) % _EVERY == 0:
            primal = _square(Dx - z) + (_square(x - v) if positive else 0)
            dual = rho**2 * _square(gradient_adjoint(z - z_last) + (v - v_last if positive else 0))
            factor = torch.where(
                primal > _BALANCE**2 * dual, 2.0, torch.where(dual > _BALANCE**2 * primal, 0.5, 1.0)
            )
            rho, u, w = factor * rho, u / over(factor, u), w / factor
    return v if positive else x


def _shrink(p: Tensor, threshold: Tensor) -> Tensor:
    """Shortens the gradient of each pixel, (B, 2, H, W), by the threshold, (B, 1, 1, 1); to zero at most."""
    length = p.abs().square().sum(1, keepdim=True).sqrt()
    return p * (1 - threshold / length.clamp_min(1e-38)).clamp_min(0)


def _square(a: Tensor) -> Tensor:
    """|a|² of each item, (B, 1, 1)."""
    return inner(a, a).reshape(-1, 1, 1)
