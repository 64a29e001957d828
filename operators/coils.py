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

from .acs import CALIBRATION, KERNEL
from .fourier import check_items
from .linear import LinearOperator


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
    calibration: int = CALIBRATION,
    kernel: int = KERNEL,
    threshold: float = 0.02,
    crop: float = 0.0,
    iterations: int = 30,
) -> Tensor:
    """Coil maps from the fully sampled centre of k-space: ESPIRiT's map of the largest eigenvalue, by sigpy.

    The phase, which ESPIRiT leaves open, is the one that makes the first principal coil of the calibration
    data real and positive (as BART): smooth where the head is, unlike that of any single coil. sigpy takes
    the first coil it is given as reference, so it is given the principal coils (Huang et al., MRI 2008), an
    orthonormal change of basis that is undone on the maps.

    Args:
        kspace: (slices, coils, ky, kx) complex, centred; only the centre is used. Computed on the CPU.
        calibration: width of the centre square that is used; at most `acs.acs_size(mask)`.
        kernel: width of the k-space kernels.
        threshold: singular values below this part of the largest belong to the null space.
        crop: maps are zero where the eigenvalue is not above this: 0 keeps them everywhere, 0.8 (BART) to
            0.95 (sigpy) cut the background off (and signal with it, where the calibration is poor).
        iterations: of the power method for the eigenvectors; in a measured head 30 give the maps of 300
            (correlation above 0.999999 in 99 % of its pixels).

    Returns:
        (slices, coils, ky, kx) complex64, sum_c |S_c|^2 = 1 or 0. A single coil gives ones.

    Raises:
        ValueError: if the calibration square does not fit, or positions in it were not measured.
    """
    _, coils, H, W = kspace.shape
    if coils == 1:
        return torch.ones(kspace.shape, dtype=torch.complex64, device=kspace.device)
    from sigpy.mri.app import EspiritCalib

    n, centre = calibration, _calibration_square(kspace, calibration, kernel)
    top, left = H // 2 - n // 2, W // 2 - n // 2
    flat = centre.transpose(0, 1).flatten(1)  # one basis for all slices
    basis = torch.linalg.eigh(flat @ flat.mH).eigenvectors.flip(1)  # (C, principal coils), strongest first
    maps = torch.empty(kspace.shape, dtype=torch.complex64, device=kspace.device)
    square = torch.zeros(coils, H, W, dtype=torch.complex64)
    for i in range(len(kspace)):
        square[:, top : top + n, left : left + n] = torch.einsum("cp,cyx->pyx", basis.conj(), centre[i]).cpu()
        app = EspiritCalib(
            square.numpy(), n, threshold, kernel, crop=crop, max_iter=iterations, show_pbar=False
        )
        principal = torch.from_numpy(app.run()).to(maps.device)
        maps[i] = torch.einsum("cp,pyx->cyx", basis, principal)
    return normalise(maps)


def _calibration_square(kspace: Tensor, n: int, kernel: int) -> Tensor:
    """The n x n centre of k-space, (slices, coils, n, n), its largest number 1: maps have no unit, and the squares of
    some units leave float32. ValueError where it does not fit or was not measured."""
    H, W = kspace.shape[-2:]
    if not kernel <= n <= min(H, W):
        raise ValueError(
            f"got calibration={n}, expected at least the kernel's {kernel} and at most {min(H, W)}"
        )
    top, left = H // 2 - n // 2, W // 2 - n // 2
    centre = kspace[:, :, top : top + n, left : left + n].to(torch.complex64)
    missing = int((centre == 0).all(1).sum())
    if missing:
        raise ValueError(
            f"{missing} positions of the {n} x {n} calibration square were not measured (zero in all coils); "
            "lower calibration to acs.acs_size(mask)"
        )
    return centre / torch.view_as_real(centre).abs().max()


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
