"""Linear solvers on batches: conjugate gradients and the power method.

Every inner product is taken per item of the batch and rounded alike in any batch, so that a result never depends on its
batch mates; items that have converged stop moving while the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .linear import LinearOperator


def inner(a: Tensor, b: Tensor) -> Tensor:
    """<a, b> per item, real part: (B, ...) -> (B, 1, ..., 1), for use as a step length."""
    if a.is_complex():
        a, b = torch.view_as_real(a.resolve_conj()), torch.view_as_real(b.resolve_conj())
        return item_sum(a * b).squeeze(-1)
    return item_sum(a * b)


def item_sum(x: Tensor) -> Tensor:
    """The sum of each item, (B, ...) -> (B, 1, ..., 1). In float64: the order of a sum depends on the batch, and so
    would its rounding in float32, which conjugate gradients make larger by orders of magnitude."""
    wide = torch.complex128 if x.is_complex() else torch.float64
    return x.flatten(1).sum(1, dtype=wide).to(x.dtype).view(-1, *[1] * (x.ndim - 1))


def item_mean(x: Tensor) -> Tensor:
    """The mean of each item, as `item_sum`."""
    return item_sum(x) / x[0].numel()


def conjugate_gradients(
    normal: Callable[[Tensor], Tensor],
    rhs: Tensor,
    x0: Tensor | None = None,
    iterations: int = 10,
    tolerance: float = 1e-6,
) -> Tensor:
    """Solve M x = b for a Hermitian positive (semi-)definite M (Hestenes & Stiefel 1952).

    Args:
        normal: x -> M x.
        rhs: b, (B, ...).
        x0: start, (B, ...); zero by default.
        iterations: at most so many applications of M (one more when x0 is given).
        tolerance: an item stops when ||b - M x|| <= tolerance ||b||.
    """
    x = torch.zeros_like(rhs) if x0 is None else x0
    r = rhs if x0 is None else rhs - normal(x0)
    p, rho = r, inner(r, r)
    stop = tolerance**2 * inner(rhs, rhs)
    for _ in range(iterations):
        active = rho > stop
        if not bool(active.any()):
            break
        q = normal(p)
        curvature = inner(p, q)
        alpha = torch.where(active & (curvature > 0), rho / curvature.clamp_min(1e-38), 0)
        x = x + alpha * p
        r = r - alpha * q
        rho_next = inner(r, r)
        p = r + torch.where(active, rho_next / rho.clamp_min(1e-38), 0) * p
        rho = rho_next
    return x


def power_norm(operator: LinearOperator, iterations: int = 20, seed: int = 0) -> float:
    """||A||_2 by the power method on A^H A, from a seeded random image.

    Where A holds something per item, the norm is that of the first item.
    """
    device = operator.device
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.complex64 if operator.domain_complex else torch.float32
    x = torch.randn(1, *operator.domain, generator=generator, dtype=dtype).to(device)
    first = operator.items(slice(0, 1))
    value = torch.zeros(())
    for _ in range(iterations):
        x = x / inner(x, x).sqrt().clamp_min(1e-38)
        x = first.normal(x)
        value = inner(x, x).sqrt()
    return float(value.max().sqrt())
