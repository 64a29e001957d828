"""Cartesian parallel MRI: coil c measures the Fourier transform of the image times its sensitivity,

    y_c = M F (S_c x) + noise,          A = M F S,          A^H y = sum_c S_c^* F^H M y_c

(SENSE; Pruessmann et al. 1999). `cartesian_mri` is the named composition `Sampling @ Fourier @ Coils`,
spelled out in the two other files; `CartesianMRI` is the same map as one fused operator:

- no shifts: the centred transform of length N is a plain one between two phase ramps,
  exp(-2 pi i (k-c)(n-c)/N) = p[k] exp(-2 pi i k n/N) p[n] exp(-2 pi i c^2/N),   p[n] = exp(2 pi i c n/N),
  which are checkerboards of +-1 for even N; p[n] is folded into the maps and p[k] into the mask, once;
- if whole columns are sampled (every 1-D mask), the transform along ky cancels in A^H A and is left out;
- A^H uses S^* F^H z = (S F z^*)^*, so that the conjugate of the maps is never formed.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterator
from copy import copy
from typing import cast

import torch
from torch import Tensor

from .coils import Coils, check_maps
from .fourier import Fourier, Sampling, check_items, check_mask, fft2c, ifft2c
from .linear import LinearOperator


def cartesian_mri(mask: Tensor, maps: Tensor) -> CartesianMRI:
    """A = Sampling(mask) @ Fourier @ Coils(maps), fused. Shapes as in `CartesianMRI`."""
    return CartesianMRI(mask, maps)


def composed_mri(mask: Tensor, maps: Tensor) -> LinearOperator:
    """The same operator part by part; slower, and what `CartesianMRI` is tested against."""
    coils = Coils(maps)
    return Sampling(mask, coils.range[0]) @ Fourier(coils.range) @ coils


class CartesianMRI(LinearOperator):
    """A = M F S: image (B, H, W) complex -> k-space (B, coils, ky, kx), centred, zero where not sampled.

    Args:
        mask: bool, (ky, kx) = (H, W), or (B, ky, kx), one per item.
        maps: complex, (coils, H, W), or (B, coils, H, W), one set per item.

    Attributes:
        mask: as given.
        maps: as given (a property: they are held modulated).

    Raises:
        ValueError: for a mask or maps of other types or shapes, or if the two do not fit each other.
    """

    def __init__(self, mask: Tensor, maps: Tensor) -> None:
        check_mask(mask)
        check_maps(maps)
        H, W = maps.shape[-2:]
        if tuple(mask.shape[-2:]) != (H, W):
            raise ValueError(
                f"got a mask of {tuple(mask.shape[-2:])} for maps of {(H, W)}; they must be the same matrix"
            )
        if mask.ndim == 3 and maps.ndim == 4 and len(mask) != len(maps):
            raise ValueError(
                f"got {len(mask)} masks and {len(maps)} sets of maps; give one for each item, or share one"
            )
        super().__init__((H, W), maps.shape[-3:], domain_complex=True, range_complex=True)
        ramp = _ramp(H)[:, None] * _ramp(W)  # p[n], and p[k] up to a constant
        constant = cmath.exp(-2j * math.pi * ((H // 2) ** 2 / H + (W // 2) ** 2 / W))
        weights = mask.to(torch.complex128) * (ramp * constant).to(mask.device)
        weights = weights.real.float() if H % 2 == W % 2 == 0 else weights.to(torch.complex64)

        self.mask: Tensor
        self.register_buffer("mask", mask)
        self._coils: Tensor  # maps * p[n]: (C, H, W) or (B, C, H, W)
        self._coils_ramp: Tensor
        self.register_buffer("_coils_ramp", ramp.to(torch.complex64).to(maps.device), persistent=False)
        self.register_buffer("_coils", maps * self._coils_ramp, persistent=False)
        self._weights: Tensor  # mask * p[k]: (1, ky, kx) or (B, 1, ky, kx)
        self.register_buffer("_weights", weights.unsqueeze(-3), persistent=False)
        self._lines: (
            Tensor | None
        )  # (1, 1, kx) or (B, 1, 1, kx) float: the mask, if only whole columns are sampled
        whole = bool((mask == mask[..., :1, :]).all())
        self.register_buffer("_lines", mask[..., None, :1, :].float() if whole else None, persistent=False)

    @property
    def maps(self) -> Tensor:
        """The coil maps, (coils, H, W) or (B, coils, H, W)."""
        return self._coils * self._coils_ramp.conj()

    @property
    def _held(self) -> int | None:
        """How many items the operator holds something for; None if all is shared."""
        if self._coils.ndim == 4:
            return len(self._coils)
        return len(self.mask) if self.mask.ndim == 3 else None

    def apply_forward(self, x: Tensor) -> Tensor:
        check_items(self, x, self._held)
        if self._apart(x):
            return torch.cat([A.apply_forward(one) for A, one in self._each(x)])
        k = self._coils * x.unsqueeze(1)  # (B, C, H, W)
        return torch.fft.fft2(k, norm="ortho").mul_(self._weights)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        check_items(self, y, self._held)
        if self._apart(y):
            return torch.cat([A.apply_adjoint(one) for A, one in self._each(y)])
        k = torch.fft.fft2(torch.conj_physical(y).mul_(self._weights), norm="ortho")
        return k.mul_(self._coils).sum(1).conj_physical_()

    def normal(self, x: Tensor) -> Tensor:
        """A^H A x. With whole columns the transform along ky cancels."""
        if self._lines is None:
            return super().normal(x)
        self._check(x, self.domain, self.domain_complex, "an image")
        check_items(self, x, self._held)
        if self._apart(x):
            return torch.cat([A.normal(one) for A, one in self._each(x)])
        k = torch.fft.fft(self._coils * x.unsqueeze(1), dim=-1, norm="ortho")
        k = torch.fft.fft(k.conj_physical_().mul_(self._lines), dim=-1, norm="ortho")
        return k.mul_(self._coils).sum(1).conj_physical_()

    def _apart(self, x: Tensor) -> bool:
        """Whether items are taken one by one: on CPUs, where each has maps or a mask of its own. Vectorised complex
        products round the last few numbers of a block otherwise than the rest, and the blocks depend on the batch."""
        return self._held is not None and len(x) > 1 and x.device.type == "cpu"

    def _each(self, x: Tensor) -> Iterator[tuple[CartesianMRI, Tensor]]:
        for b in range(len(x)):
            item = slice(b, b + 1)
            yield cast(CartesianMRI, self.items(item)), x[item]

    def repeat(self, n: int) -> LinearOperator:
        if n == 1 or self._held is None:
            return self
        return self._of(lambda held: held.repeat_interleave(n, 0))

    def items(self, index: slice) -> LinearOperator:
        return self if self._held is None else self._of(lambda held: held[index])

    def _of(self, pick: Callable[[Tensor], Tensor]) -> CartesianMRI:
        """The operator of other items, with what this one holds for them: not modulated again, and computed in the same
        way, so that an item rounds alike beside others and alone."""
        other = copy(self)
        other._buffers = dict(self._buffers)
        per_item = ("_coils",) if self._coils.ndim == 4 else ()
        per_item += ("mask", "_weights", "_lines") if self.mask.ndim == 3 else ()
        for name in per_item:
            held = self._buffers[name]
            other._buffers[name] = None if held is None else pick(held)
        return other


def simulate_kspace(
    image: Tensor,
    maps: Tensor,
    mask: Tensor,
    sigma: float | Tensor = 0.0,
    oversample: int = 2,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The k-space that a scanner would measure from an object finer than the reconstruction's pixels.

    The object is piecewise constant on a grid `oversample` times as fine, weighted there with the maps
    (linearly interpolated), transformed, and cropped to the matrix (H, W): what the maps fold into the matrix
    from beyond its edge is in the data and not in `CartesianMRI`. The object's values are chosen so that its
    own k-space within the matrix is exactly that of `image` (the transform of a pixel is divided out), hence
    `image` stays the truth to compare with: with one uniform coil, full sampling and no noise the inverse FFT
    returns it exactly.

    Args:
        image: (B, H, W) complex or real, the truth.
        maps: (coils, H, W) or (B, coils, H, W) complex.
        mask: (H, W) or (B, H, W) bool.
        sigma: standard deviation of the complex noise, E|n|^2 = sigma^2, per sample; a number or (B,).
        oversample: how many times finer the object's grid is; 1 commits the inverse crime.
        generator: of the noise, on the image's device; needed when sigma > 0.

    Returns:
        (B, coils, H, W) complex64, zero where not sampled.
    """
    check_mask(mask)
    check_maps(maps)
    if oversample < 1:
        raise ValueError(f"got oversample={oversample}, expected an integer of at least 1")
    scale = torch.as_tensor(sigma, dtype=torch.float32, device=image.device).expand(len(image))
    noisy = bool((scale > 0).any())
    if noisy and generator is None:
        raise ValueError("got sigma > 0 and no generator; pass torch.Generator().manual_seed(seed)")
    H, W = image.shape[-2:]
    s = oversample
    pixel = _pixel_transform(H, s)[:, None] * _pixel_transform(W, s)
    fine = ifft2c(fft2c(image.to(torch.complex64)) / pixel.to(torch.complex64).to(image.device))
    fine = fine.repeat_interleave(s, -2).repeat_interleave(s, -1)  # (B, sH, sW)
    rows, columns = ((s * n) // 2 - n // 2 for n in (H, W))
    up_y, up_x = (_upsampling(n, s).to(maps.device) for n in (H, W))
    signal = []
    for i, item in enumerate(fine):  # one slice at a time: the fine grid needs s^2 times the memory
        sensitivities = maps[i] if maps.ndim == 4 else maps
        k = fft2c((up_y @ sensitivities @ up_x.T) * item)  # (C, sH, sW)
        signal.append(k[:, rows : rows + H, columns : columns + W] / s)
    kspace = torch.stack(signal)
    if noisy:
        noise = torch.randn(kspace.shape, dtype=kspace.dtype, device=kspace.device, generator=generator)
        kspace = kspace + noise * scale.view(-1, 1, 1, 1)
    return kspace * mask.unsqueeze(-3)


def sigma_for_snr(kspace: Tensor, mask: Tensor, snr_db: float) -> Tensor:
    """The noise that gives an SNR, which is defined on the measured k-space signal: 20 log10(rms / sigma) =
    snr_db,

    where rms is the root of the mean of |k|^2 over all sampled positions and coils, and sigma^2 = E|n|^2 for
    a complex sample. It depends on the mask: the same sigma gives a higher SNR to a mask with more of the
    centre.

    Args:
        kspace: noise-free, (B, coils, ky, kx).
        mask: (ky, kx) or (B, ky, kx) bool.
        snr_db: in decibel.

    Returns:
        sigma, (B,).
    """
    sampled = kspace * mask.unsqueeze(-3)
    count = kspace.shape[1] * mask.sum((-2, -1))  # () or (B,)
    power = (sampled.abs() ** 2).sum((1, 2, 3), dtype=torch.float64) / count
    return (power.sqrt() * 10 ** (-snr_db / 20)).float()


def _ramp(n: int) -> Tensor:
    """p[i] = exp(2 pi i c i/n), c = floor(n/2), complex128; exactly +-1 for even n."""
    steps = (n // 2) * torch.arange(n) % n
    if n % 2 == 0:
        return (1 - 2 * (steps != 0).double()).to(torch.complex128)
    return torch.exp(2j * math.pi * steps.double() / n)


def _pixel_transform(n: int, s: int) -> Tensor:
    """The transform of a pixel made of s finer ones, at the n centred frequencies: D[k] of the replicated
    image, with the distance of the two grids' origins, so that fft(replicated) = s D fft(image) per axis.
    (n,) complex128."""
    k = torch.arange(n, dtype=torch.float64) - n // 2
    offset = torch.arange(s, dtype=torch.float64) + s * (n // 2) - (s * n) // 2
    return torch.exp(-2j * math.pi * k[:, None] * offset / (s * n)).mean(1)


def _upsampling(n: int, s: int) -> Tensor:
    """(sn, n) matrix of linear interpolation from the pixel grid to the finer one, constant beyond the
    border."""
    position = (torch.arange(s * n, dtype=torch.float64) - (s * n) // 2) / s + n // 2
    position = position.clamp(0, n - 1)
    left = position.floor().clamp(max=max(n - 2, 0))
    matrix = torch.zeros(s * n, n, dtype=torch.float64)
    row = torch.arange(s * n)
    matrix[row, left.long()] += 1 - (position - left)
    matrix[row, (left.long() + 1).clamp(max=n - 1)] += position - left
    return cast(Tensor, matrix.to(torch.complex64))
