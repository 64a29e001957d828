"""Linear solvers on batches: conjugate gradients and the power method, of any linear map x -> M x.

Every inner product is taken per item of the batch and rounded alike in any batch, so that a result never depends on its
batch mates; items that have converged stop moving while the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


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
    preconditioner: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Solve M x = b for a Hermitian positive (semi-)definite M (Hestenes & Stiefel 1952).

    Args:
        normal: x -> M x.
        rhs: b, (B, ...).
        x0: start, (B, ...); zero by default.
        iterations: at most so many applications of M (one more when x0 is given).
        tolerance: an item stops when ||b - M x|| <= tolerance ||b||, both in the norm of P.
        preconditioner: r -> P r, Hermitian, positive definite and near to the inverse of M; none by default.
    """
    P = preconditioner or (lambda r: r)
    x = torch.zeros_like(rhs) if x0 is None else x0
    r = rhs if x0 is None else rhs - normal(x0)
    reference = r if x0 is None else rhs
    stop = tolerance**2 * inner(reference, P(reference))

    def applied(p: Tensor) -> tuple[Tensor, Callable[[], Tensor], Tensor]:
        q = normal(p)
        return inner(p, q), lambda: q, p

    for alpha, p, _ in _directions(applied, r, iterations, stop, P):
        x = x + alpha * p
    return x


def dual_conjugate_gradients(
    A: Callable[[Tensor], Tensor],
    AH: Callable[[Tensor], Tensor],
    variance: float | Tensor,
    rhs: Tensor,
    iterations: int,
    preconditioner: Callable[[Tensor], Tensor],
    tolerance: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """Solve (1 + A v A^H) q = b; also A^H q, which comes of itself. The last iteration applies A^H alone: n of them
    take n times A^H and n - 1 times A.

    Args:
        A, AH: an operator and its adjoint.
        variance: v, of all pixels or of each.
        rhs: b, (B, ...) in the range of A.
        iterations, preconditioner, tolerance: as `conjugate_gradients`.
    """
    q, AHq = torch.zeros_like(rhs), None

    def applied(p: Tensor) -> tuple[Tensor, Callable[[], Tensor], Tensor]:
        h = AH(p)
        curvature = inner(p, p) + inner(h, variance * h).view(-1, *[1] * (p.ndim - 1))
        return curvature, lambda: p + A(variance * h), h

    stop = tolerance**2 * inner(rhs, preconditioner(rhs))
    for alpha, p, h in _directions(applied, rhs, iterations, stop, preconditioner):
        q = q + alpha * p
        step = alpha.view(-1, *[1] * (h.ndim - 1)) * h
        AHq = step if AHq is None else AHq + step
    return q, AH(q) if AHq is None else AHq


def _directions(
    applied: Callable[[Tensor], tuple[Tensor, Callable[[], Tensor], Tensor]],
    r: Tensor,
    iterations: int,
    stop: Tensor,
    P: Callable[[Tensor], Tensor],
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The steps of conjugate gradients from the residual r: (length, direction p, what `applied` says of it).

    `applied`: p -> <p, M p>, a way to M p, which the last step does not need, and whatever the caller adds up.
    """
    p = P(r)
    rho = inner(r, p)
    for left in reversed(range(iterations)):
        active = rho > stop
        if not bool(active.any()):
            return
        curvature, product, more = applied(p)
        alpha = torch.where(active & (curvature > 0), rho / curvature.clamp_min(1e-38), 0)
        yield alpha, p, more
        if left:
            r = r - alpha * product()
            z = P(r)
            rho, before = inner(r, z), rho
            p = z + torch.where(active, rho / before.clamp_min(1e-38), 0) * p


def largest_eigenvalue(normal: Callable[[Tensor], Tensor], x: Tensor, iterations: int = 20) -> Tensor:
    """The largest eigenvalue of a Hermitian positive M, item by item, (B, 1, ..., 1): the power method, from below.

    Args:
        normal: x -> M x.
        x: where to begin, (B, ...), with a part of every eigenvector: noise.
    """
    value = torch.zeros(())
    for _ in range(iterations):
        x = normal(x / inner(x, x).sqrt().clamp_min(1e-38))
        value = inner(x, x).sqrt()
    return value
