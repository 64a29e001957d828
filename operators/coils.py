"""Receive coils: the image times the sensitivity of each coil, (S x)_c = S_c x, and where the maps come from.

Maps are normalised, sum_c |S_c|^2 = 1 wherever they are not zero, so that S^H S is the identity there and the
image is in the units of k-space. They are estimated from the centre of k-space by ESPIRiT (Uecker et al., MRM
2014) or simulated. Whitening turns correlated coil noise into independent complex noise of unit variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .fourier import check_items, ifft2c
from .linear import LinearOperator

_CHUNK = 8 << 20  # bytes of the eigenproblem held at a time: the cache's size


class Coils(LinearOperator):
    """S: image (B, H, W) complex -> coil images (B, coils, H, W).

    Args:
        maps: complex, (coils, H, W) for every item or (B, coils, H, W), one set per item.

    Raises:
        ValueError: for maps that are not complex, or have another number of axes.
    """

    def __init__(self, maps: Tensor) -> None:
        check_maps(maps)
        super().__init__(maps.shape[-2:], maps.shape[-3:], domain_complex=True, range_complex=True)
        self.maps: Tensor
        self.register_buffer("maps", maps)

    @property
    def _held(self) -> int | None:
        return len(self.maps) if self.maps.ndim == 4 else None

    def apply_forward(self, x: Tensor) -> Tensor:
        check_items(self, x, self._held)
        return self.maps * x.unsqueeze(1)  # (B, C, H, W)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        check_items(self, y, self._held)
        return (self.maps.conj() * y).sum(1)  # (B, H, W)

    def repeat(self, n: int) -> LinearOperator:
        return self if self._held is None or n == 1 else Coils(self.maps.repeat_interleave(n, 0))

    def items(self, index: slice) -> LinearOperator:
        return self if self._held is None else Coils(self.maps[index])


def check_maps(maps: Tensor) -> None:
    """Refuse what is no set of maps: ValueError unless complex and (coils, H, W) or (B, coils, H, W)."""
    if not maps.is_complex() or maps.ndim not in (3, 4):
        raise ValueError(
            f"got maps of {maps.dtype} with shape {tuple(maps.shape)}, expected complex (coils, H, W) or "
            "(B, coils, H, W); for one coil use torch.ones(1, H, W, dtype=torch.complex64)"
        )


def espirit_maps(
    kspace: Tensor,
    calibration: int = 24,
    kernel: int = 6,
    threshold: float = 0.02,
    crop: float = 0.0,
    iterations: int = 30,
) -> Tensor:
    """Coil maps from the fully sampled centre of k-space: ESPIRiT's map of the largest eigenvalue.

    The phase, which ESPIRiT leaves open, is the one that makes the low-resolution image's first principal
    coil real and positive (as BART): smooth where the head is, unlike that of any single coil.

    Args:
        kspace: (slices, coils, ky, kx) complex, centred; only the centre is used.
        calibration: width of the centre square that is used; at most `sampling.acs_size(mask)`.
        kernel: width of the k-space kernels.
        threshold: singular values below this part of the largest belong to the null space.
        crop: maps are zero where the eigenvalue is not above this: 0 keeps them everywhere, 0.8 (BART) to
            0.95 (sigpy) cut the background off (and signal with it, where the calibration is poor).
        iterations: of the power method for the eigenvectors, which starts from the low-resolution coil
            images.

    Returns:
        (slices, coils, ky, kx) complex64, sum_c |S_c|^2 = 1 or 0. A single coil gives ones.

    Raises:
        ValueError: if the calibration square does not fit, or positions in it were not measured.
    """
    _, coils, H, W = kspace.shape
    if coils == 1:
        return torch.ones(kspace.shape, dtype=torch.complex64, device=kspace.device)
    kspace, n = kspace.to(torch.complex64), calibration
    if not kernel <= n <= min(H, W):
        raise ValueError(
            f"got calibration={n}, expected at least the kernel's {kernel} and at most {min(H, W)}"
        )
    top, left = H // 2 - n // 2, W // 2 - n // 2
    centre = kspace[:, :, top : top + n, left : left + n]
    missing = int((centre == 0).all(1).sum())
    if missing:
        raise ValueError(
            f"{missing} positions of the {n} x {n} calibration square were not measured (zero in all coils); "
            "lower calibration to sampling.acs_size(mask)"
        )
    flat = centre.transpose(0, 1).flatten(1)  # one reference for all slices
    principal = torch.linalg.eigh(flat @ flat.mH).eigenvectors[:, -1]  # (C,)
    maps = torch.empty_like(kspace)
    for i in range(len(kspace)):
        square = torch.zeros_like(kspace[i])
        square[:, top : top + n, left : left + n] = centre[i]
        S, eigenvalue = _eigenmaps(_kernels(centre[i], kernel, threshold), ifft2c(square), iterations)
        reference = torch.einsum("c,chw->hw", principal.conj(), S)
        maps[i] = S * torch.polar(eigenvalue.gt(crop).float(), -reference.angle())
    return normalise(maps)


def _kernels(centre: Tensor, w: int, threshold: float) -> Tensor:
    """The row space of the calibration matrix of w x w blocks: (coils, n, n) -> (kernels, coils, w, w)."""
    blocks = centre.unfold(1, w, 1).unfold(2, w, 1).permute(1, 2, 0, 3, 4)  # (m, m, C, w, w)
    A = blocks.reshape(-1, len(centre) * w * w)
    values, V = torch.linalg.eigh(A.mH @ A)  # squared singular values, ascending
    return V[:, values > threshold**2 * values[-1]].mH.reshape(-1, len(centre), w, w)


def _eigenmaps(K: Tensor, start: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """The leading eigenvector and eigenvalue of G(r) = 1/w^2 sum_k K_k(r) K_k(r)^H at every pixel, K_k(r) the
    inverse transform of the kernels, by the power method from `start` (coils, H, W).

    G(r) is a trigonometric polynomial: its coefficients are the autocorrelation of the kernels, (2w - 1)^2 of
    them, so it is evaluated at the pixels by two small matrix products and no kernel is ever brought to the
    image's size.
    """
    (C, H, W), w = start.shape, K.shape[-1]
    F = torch.fft.fft2(K, s=(2 * w - 1, 2 * w - 1))
    R = torch.fft.ifft2(torch.einsum("kiuv,kjuv->ijuv", F, F.conj())) / w**2  # (C, C, 2w - 1, 2w - 1)
    Ey, Ex = (_harmonics(n, w).to(K.device) for n in (H, W))
    Rx = torch.einsum("ijuv,xv->uxij", R, Ex).reshape(2 * w - 1, -1)  # (2w - 1, W C C)
    v = start.permute(1, 2, 0).unsqueeze(-1).contiguous()  # (H, W, C, 1)
    value = torch.empty(H, W, 1, 1, device=K.device)
    rows = max(1, _CHUNK // (8 * W * C * C))
    for top in range(0, H, rows):
        part = slice(top, top + rows)
        G = (Ey[part] @ Rx).view(-1, W, C, C)
        for _ in range(iterations):
            v[part] = G @ v[part]
            value[part] = v[part].norm(dim=-2, keepdim=True)
            v[part] /= value[part].clamp_min(1e-30)
    return v.squeeze(-1).permute(2, 0, 1), value[..., 0, 0]


def _harmonics(n: int, w: int) -> Tensor:
    """exp(2 pi i d r/n) at the pixels r = -c ... and the displacements d = 0 ... w - 1, 1 - w ... -1: (n, 2w
    - 1)."""
    r = torch.arange(n, dtype=torch.float64) - n // 2
    d = torch.fft.fftfreq(2 * w - 1, 1 / (2 * w - 1), dtype=torch.float64)
    return torch.exp(2j * math.pi * r[:, None] * d / n).to(torch.complex64)


def smooth_maps(coils: int, shape: Sequence[int], seed: int = 0) -> Tensor:
    """Simulated maps of loops around the head: the 2-D field of a wire at z_c, S_c = e^{i a_c} / (z - z_c),
    normalised.

    The loops stand on an ellipse outside the image, evenly but for a random jitter. The field depends on the
    seed and not on the matrix, so that two shapes sample the same maps.

    Args:
        coils: how many; one gives a map of modulus 1.
        shape: (H, W).

    Returns:
        (coils, H, W) complex64, sum_c |S_c|^2 = 1.
    """
    generator = torch.Generator().manual_seed(seed)
    jitter = torch.rand(3, coils, generator=generator, dtype=torch.float64)
    angle = 2 * math.pi * (torch.arange(coils) + 0.5 * (jitter[0] - 0.5) + jitter[0, 0]) / coils
    position = torch.polar(1.6 + 0.3 * jitter[1], angle)
    z = torch.complex(_axis(shape[1]).expand(*shape), _axis(shape[0])[:, None].expand(*shape))
    phase = torch.polar(torch.ones(coils, dtype=torch.float64), 2 * math.pi * jitter[2])
    return normalise(phase[:, None, None] / (z - position[:, None, None])).to(torch.complex64)


def smooth_phase(
    shape: Sequence[int], seed: int | torch.Generator = 0, amplitude: float = 1.0, order: int = 3
) -> Tensor:
    """Smooth random phase of an object [rad]: a constant plus cosines of at most `order` half waves across
    the image,

        phi(u, v) = a_00 + sum_{p,q <= order} a_pq cos(pi p u) cos(pi q v),    a_pq ~ N(0, 1/(p^2 + q^2)^2).

    Args:
        shape: (H, W) or (B, H, W), independent for each item.
        seed: or a generator (CPU), which is advanced.
        amplitude: expected root mean square over the image, without the constant [rad].
        order: half waves.

    Returns:
        float32 of the given shape; multiply magnitudes with torch.polar(magnitude, phase).
    """
    generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
    *batch, H, W = shape
    p = torch.arange(order + 1, dtype=torch.float32)
    decay = 1 / (p[:, None] ** 2 + p**2).clamp_min(1)
    decay[0, 0] = 0
    mean_square = torch.where(p == 0, 1.0, 0.5)  # of a cosine
    decay *= amplitude / (decay**2 * mean_square[:, None] * mean_square).sum().sqrt()
    a = decay * torch.randn(*batch, order + 1, order + 1, generator=generator)
    rows, columns = (torch.cos(math.pi * p * ((torch.arange(n)[:, None] + 0.5) / n)) for n in (H, W))
    constant = 2 * math.pi * torch.rand(*batch, 1, 1, generator=generator) - math.pi
    return constant + rows @ a @ columns.T


def normalise(maps: Tensor) -> Tensor:
    """Maps (..., coils, H, W) scaled to sum_c |S_c|^2 = 1; zero stays zero."""
    size = maps.abs().square().sum(-3, keepdim=True).sqrt()
    return torch.where(size > 1e-6, maps / size.clamp_min(1e-6), 0)


def noise_covariance(noise: Tensor) -> Tensor:
    """Psi = N N^H / n of noise-only samples, (coils, n) complex -> (coils, coils)."""
    if noise.ndim != 2 or noise.shape[1] < noise.shape[0]:
        raise ValueError(
            f"got noise of shape {tuple(noise.shape)}, expected (coils, samples) with samples >= coils"
        )
    return noise @ noise.mH / noise.shape[1]


def whiten(kspace: Tensor, noise: Tensor) -> Tensor:
    """L^-1 k with L L^H = Psi: coil noise becomes independent, E|n|^2 = 1 (Pruessmann et al., MRM 2001).

    Args:
        kspace: (..., coils, ky, kx).
        noise: noise-only samples, (coils, n).
    """
    factor = torch.linalg.cholesky(noise_covariance(noise.to(torch.complex128)))
    whitened = torch.linalg.solve_triangular(factor, kspace.to(torch.complex128).flatten(-2), upper=False)
    return whitened.view(kspace.shape).to(kspace.dtype)


def _axis(n: int) -> Tensor:
    """Pixel positions in units of half the field of view; 0 at pixel floor(n/2)."""
    return (torch.arange(n, dtype=torch.float64) - n // 2) / (n / 2)
