"""Functions of A^H A by the Lanczos process: what the papers write with a singular value decomposition, for any A.

For A = U S V^H a method that treats singular directions apart, V f(S²) V^H v, needs no decomposition:

    f(A^H A) v  ~  |v| Q f(T) e_1,       T = Q^H A^H A Q tridiagonal, Q the Krylov basis of v

`steps` applications of A^H A for each v. Where A is a mask in an orthogonal basis with even noise (one coil,
inpainting, colorization, super-resolution) A^H A has two eigenvalues and two steps are exact: the process ends by
itself where the space is full. Otherwise the error is that of conjugate gradients. Whitened, so that uneven noise is
part of A and sigma_y = 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...operators.solve import inner
from .posed import Posed

FULL = 1e-5  # of the largest eigenvalue: what float32 leaves of a step out of a full space


class Krylov:
    """The Krylov space of images v (B, ...): `space(f)` is f(A^H A) v, item by item; f of eigenvalues (B, steps).

    Of complex images it is that of their real and imaginary parts, which has the same T."""

    def __init__(self, posed: Posed, v: Tensor, steps: int) -> None:
        self.like = v
        flat = _parts(v)
        self.norm = inner(flat, flat).sqrt()  # (B, 1)
        Q = flat.new_zeros(len(v), steps, flat.shape[1])
        Q[:, 0] = flat / self.norm.clamp_min(1e-30)
        T = torch.zeros(len(v), steps, steps, dtype=torch.float64, device=v.device)
        k = 0
        while True:
            w = _parts(posed.AHA(_images(Q[:, k], v)))
            T[:, k, k] = inner(Q[:, k], w).flatten()
            if k + 1 == steps:
                break
            for _ in range(2):  # in float32 one pass leaves the basis skew
                for q in Q[:, : k + 1].unbind(1):  # not a matrix product, whose rounding depends on the batch
                    w = w - inner(q, w) * q
            beta = inner(w, w).sqrt()
            more = beta > FULL * T.diagonal(dim1=1, dim2=2).amax(
                1, keepdim=True
            )  # of a full item the rest is zero
            if not more.any():
                break
            k += 1
            Q[:, k] = w * (more / beta.clamp_min(1e-30))
            T[:, k - 1, k] = T[:, k, k - 1] = (beta * more).flatten()
        theta, self.rotation = torch.linalg.eigh(T[:, : k + 1, : k + 1])  # (B, k + 1), (B, k + 1, k + 1)
        self.eigenvalues, self.basis = theta.clamp_min(0), Q[:, : k + 1]

    def __call__(self, f: Callable[[Tensor], Tensor]) -> Tensor:
        first = self.rotation[:, 0] * f(self.eigenvalues)  # (B, steps)
        weights = self.norm * (self.rotation @ first[..., None])[..., 0].to(self.norm.dtype)
        total = torch.zeros_like(self.basis[:, 0])
        for weight, q in zip(weights.split(1, 1), self.basis.unbind(1), strict=True):
            total = total + weight * q
        return _images(total, self.like)


def _parts(x: Tensor) -> Tensor:
    """(B, ...) -> (B, n) real."""
    return (torch.view_as_real(x) if x.is_complex() else x).flatten(1)


def _images(parts: Tensor, like: Tensor) -> Tensor:
    """The inverse, of the shape of `like`."""
    if like.is_complex():
        return torch.view_as_complex(parts.unflatten(1, (*like.shape[1:], 2)))
    return parts.view_as(like)
