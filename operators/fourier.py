"""The centred orthonormal 2-D Fourier transform and Cartesian sampling.

    X[k] = 1/sqrt(HW) sum_n x[n] exp(-2 pi i <k - c, (n - c)/N>),     c = floor(N/2),

per axis: the image's origin lies at pixel c and the zero frequency at index c (ISMRMRD, BART, fastMRI and
sigpy agree), and F^H = F^-1. `Sampling` keeps the measured positions of k-space and sets the others to zero;
it is its own adjoint.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .linear import LinearOperator


def fft2c(x: Tensor) -> Tensor:
    """F x over the last two axes: image (..., H, W) -> centred k-space (..., ky, kx), orthonormal."""
    shifted = torch.fft.ifftshift(x, dim=(-2, -1))
    return torch.fft.fftshift(torch.fft.fft2(shifted, norm="ortho"), dim=(-2, -1))


def ifft2c(k: Tensor) -> Tensor:
    """F^H k over the last two axes: centred k-space (..., ky, kx) -> image (..., H, W), orthonormal."""
    shifted = torch.fft.ifftshift(k, dim=(-2, -1))
    return torch.fft.fftshift(torch.fft.ifft2(shifted, norm="ortho"), dim=(-2, -1))


class Fourier(LinearOperator):
    """F over the last two axes.

    Args:
        shape: one item, (H, W) or (coils, H, W); the range has the same shape.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        if len(shape) < 2:
            raise ValueError(f"Fourier: got shape {tuple(shape)}, expected at least two axes (H, W)")
        super().__init__(shape, shape, domain_complex=True, range_complex=True)

    def apply_forward(self, x: Tensor) -> Tensor:
        return fft2c(x)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return ifft2c(y)


class Sampling(LinearOperator):
    """k-space (B, coils, ky, kx) -> the same with zeros where nothing was measured.

    Args:
        mask: bool, (ky, kx) for every item or (B, ky, kx), one per item of the batch.
        coils: number of coils.

    Raises:
        ValueError: for a mask that is not bool, or has another number of axes.
    """

    def __init__(self, mask: Tensor, coils: int) -> None:
        check_mask(mask)
        shape = (coils, *mask.shape[-2:])
        super().__init__(shape, shape, domain_complex=True, range_complex=True)
        self.mask: Tensor
        self.register_buffer("mask", mask)

    def apply_forward(self, x: Tensor) -> Tensor:
        check_items(self, x, self.mask.shape[0] if self.mask.ndim == 3 else None)
        return x * self.mask.unsqueeze(-3)  # (B, C, ky, kx)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return self.apply_forward(y)

    def repeat(self, n: int) -> LinearOperator:
        if self.mask.ndim == 2 or n == 1:
            return self
        return Sampling(self.mask.repeat_interleave(n, 0), self.domain[0])

    def items(self, index: slice) -> LinearOperator:
        return self if self.mask.ndim == 2 else Sampling(self.mask[index], self.domain[0])


def check_mask(mask: Tensor) -> None:
    """Refuse what is no sampling mask: ValueError unless bool and (ky, kx) or (B, ky, kx)."""
    if mask.dtype != torch.bool or mask.ndim not in (2, 3):
        raise ValueError(
            f"got a mask of {mask.dtype} with shape {tuple(mask.shape)}, expected bool (ky, kx) or "
            "(B, ky, kx); a mask of columns is widened by mask.expand(ky, kx)"
        )


def check_items(operator: LinearOperator, x: Tensor, items: int | None) -> None:
    """Refuse a batch of another length than the operator holds items for (None: shared by all)."""
    if items is not None and x.shape[0] != items:
        raise ValueError(
            f"{type(operator).__name__}: got a batch of {x.shape[0]}, but this operator holds something for "
            f"each of {items} items; use operator.items(slice) or operator.repeat(n)"
        )
