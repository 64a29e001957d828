"""Measurements of the picture itself: part of its pixels, its grey value, a coarser picture.

    Inpainting      y = M x                           M keeps the known pixels, zeros elsewhere      A A^H = M
    Colorization    y = (x_1 + ... + x_C) / C         the grey value of C channels                   A A^H = 1 / C
    Downsampling    y = mean of each f x f block      super-resolution by a factor f                 A A^H = 1 / f²

With these, inpainting, colorization and super-resolution are posterior sampling as any other. Song et al. 2021 (App. I)
colour a picture by inpainting in a basis whose first axis is the grey one, (1, ..., 1) / sqrt(C); as the channels are
coupled by an orthogonal matrix, replacing that coordinate is the projection on A x = y of `Colorization`.

Images are (B, H, W), real or complex, or (B, C, H, W) real: the channels of a prior that has three or more.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .fourier import check_items
from .linear import LinearOperator


class Inpainting(LinearOperator):
    """x -> the same with zeros where nothing is known; its own adjoint. What stands there in a measurement counts for
    nothing.

    Args:
        mask: bool, True where a pixel is known, (H, W) for every item or (B, H, W), one per item of the batch.
        channels: C, for images (B, C, H, W), all channels of a pixel known or none; None: images (B, H, W).
        is_complex: complex images.

    Raises:
        ValueError: a mask that is not bool, or has another number of axes.
    """

    def __init__(self, mask: Tensor, channels: int | None = None, is_complex: bool = False) -> None:
        if mask.dtype != torch.bool or mask.ndim not in (2, 3):
            raise ValueError(
                f"Inpainting: got a mask of {mask.dtype} with shape {tuple(mask.shape)}, expected bool (H, W) or "
                "(B, H, W), True where a pixel is known"
            )
        shape = (*([] if channels is None else [channels]), *mask.shape[-2:])
        super().__init__(shape, shape, domain_complex=is_complex, range_complex=is_complex)
        self.channels = channels
        self.mask: Tensor
        self.register_buffer("mask", mask)

    def apply_forward(self, x: Tensor) -> Tensor:
        check_items(self, x, len(self.mask) if self.mask.ndim == 3 else None)
        return x * (self.mask if self.channels is None else self.mask.unsqueeze(-3))

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return self.apply_forward(y)

    def repeat(self, n: int) -> LinearOperator:
        return self if self.mask.ndim == 2 else self._with(self.mask.repeat_interleave(n, 0))

    def items(self, index: slice) -> LinearOperator:
        return self if self.mask.ndim == 2 else self._with(self.mask[index])

    def _with(self, mask: Tensor) -> Inpainting:
        return Inpainting(mask, self.channels, self.domain_complex)


class Colorization(LinearOperator):
    """The mean over channels: (B, C, H, W) real -> (B, H, W).

    Args:
        shape: (C, H, W).

    Raises:
        ValueError: a shape of another length, or fewer than two channels.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        if len(shape) != 3 or shape[0] < 2:
            raise ValueError(
                f"Colorization: got shape {tuple(shape)}, expected (C, H, W) with C of 2 or more"
            )
        super().__init__(shape, shape[1:])

    def apply_forward(self, x: Tensor) -> Tensor:
        return x.mean(1)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return y.unsqueeze(1).expand(-1, *self.domain) / self.domain[0]


class Downsampling(LinearOperator):
    """The mean of each block of factor x factor pixels: (B, ..., H, W) -> (B, ..., H / factor, W / factor).

    Args:
        shape: of one image, (H, W) or (C, H, W); `factor` divides H and W.
        factor: 1 or more.
        is_complex: complex images.

    Raises:
        ValueError: a factor that does not divide, a shape of another length.
    """

    def __init__(self, shape: Sequence[int], factor: int, is_complex: bool = False) -> None:
        if len(shape) not in (2, 3) or factor < 1 or shape[-2] % factor or shape[-1] % factor:
            raise ValueError(
                f"Downsampling: got shape {tuple(shape)} and factor {factor}, expected (H, W) or (C, H, W) with H and "
                "W multiples of the factor; crop the image"
            )
        coarse = (*shape[:-2], shape[-2] // factor, shape[-1] // factor)
        super().__init__(shape, coarse, domain_complex=is_complex, range_complex=is_complex)
        self.factor = factor

    def apply_forward(self, x: Tensor) -> Tensor:
        f = self.factor
        return x.unflatten(-1, (-1, f)).unflatten(-3, (-1, f)).mean((-3, -1))  # (..., H/f, f, W/f, f)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        f = self.factor
        return y.repeat_interleave(f, -1).repeat_interleave(f, -2) / f**2
