"""Filtered backprojection: the reconstruction of clinical scanners, for parallel, flat and curved fan beams.

Kak & Slaney, Principles of Computerized Tomographic Imaging, 1988, chapter 3. With the axes of
geometry.py: the view beta has u = (cos beta, sin beta), d = (-sin beta, cos beta) and its
source at -R d; p is the measured ray at the fan angle gamma, r the pixel,

    parallel  f(r) = sum_v  q_v(r.u),                  q = tau   [w p] * h               (3.2)
    curved    f(r) = sum_v  1/ell²  q_v(atan(r.u/L)),  q = alpha [w p R cos gamma] * g   (3.4.1)
    flat      f(r) = sum_v  (R/L)²  q_v(R r.u / L),    q = tau   [w p cos gamma] * h     (3.4.2)

with L = R + r.d, ell = |r + R d| (the flat detector is scaled to the rotation axis, tau is the element
there), the band-limited ramp h(0) = 1/(4 tau²), h(n tau) = -1/(n pi tau)² for odd n, 0 for even n (eq.
3.61), and g(n alpha) = (n alpha / sin n alpha)² h(n alpha). The convolutions are linear (zero-padded
FFT).

w is the angle that a ray stands for (operators/coverage.py): arcs, several turns and displaced detectors measure
some lines more often than others. A detector displaced to one side is filled up with zeros on the other before the
filter, which spreads the object over it.

Rays that were lost (metal) are interpolated linearly along the detector before the filter, which would
spread the steps at the ends of a gap over the image (LI-MAR: Kalender, Hebel & Ebersberger, Radiology 164,
576, 1987).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...geometry import FanBeam, Geometry, Grid
from ...modality import Modality
from ...operators.coverage import ray_weights
from ...operators.radon import fill_gaps
from ..problem import Problem
from ..weights import measured_rays
from .method import Baseline

# Windows on the ramp, of the frequency in cycles per element (0 ... ½).
FILTERS = {
    "ramp": torch.ones_like,
    "shepp-logan": torch.sinc,
    "cosine": lambda f: torch.cos(math.pi * f),
    "hamming": lambda f: 0.54 + 0.46 * torch.cos(2 * math.pi * f),
    "hann": lambda f: 0.5 * (1 + torch.cos(2 * math.pi * f)),
}


def fbp(
    sinogram: Tensor,
    geometry: Geometry,
    grid: Grid,
    filter: str = "ramp",
    valid: Tensor | None = None,
) -> Tensor:
    """The image whose line integrals are `sinogram`.

    Args:
        sinogram: line integrals, (B, views, detectors), dimensionless.
        geometry: ParallelBeam or FanBeam; the angles in any order, evenly spaced or not.
        grid: the pixels to reconstruct.
        filter: "ramp" (Ram-Lak), or, ever smoother, "shepp-logan", "cosine", "hamming", "hann".
        valid: (views, detectors) bool, True where measured; the other rays are filled by `fill_gaps`. None: all.

    Returns:
        (B, H, W) attenuation [1/mm]. Zero elements are assumed beyond the detector's ends.

    Raises:
        ValueError: for an unknown filter, a sinogram or a `valid` that does not fit, a source inside the grid.
    """
    if filter not in FILTERS:
        raise ValueError(f"fbp: got filter {filter!r}, expected one of {', '.join(FILTERS)}")
    if sinogram.ndim != 3 or tuple(sinogram.shape[1:]) != geometry.shape or not sinogram.is_floating_point():
        raise ValueError(
            f"fbp: got a sinogram of shape {tuple(sinogram.shape)} and {sinogram.dtype}, expected real "
            f"line integrals (batch, {geometry.views}, {geometry.detectors}); add the batch dimension, or "
            "rebuild the geometry"
        )
    if valid is not None:
        sinogram = fill_gaps(sinogram, valid)
    step, curved = geometry.spacing, False  # step: of the function that is filtered
    w = ray_weights(geometry)
    if isinstance(geometry, FanBeam):
        R, D, curved = geometry.source_origin, geometry.source_detector, geometry.curved
        if grid.radius >= R:
            raise ValueError(
                f"fbp: got source_origin={R:.4g} mm, inside the grid's circle of radius "
                f"{grid.radius:.4g} mm; make the grid smaller"
            )
        step *= 1 / D if curved else R / D
        w = w * np.cos(geometry.fan_angles()) * (R if curved else 1)
    p, geometry = _both_sides(sinogram * torch.as_tensor(step * w).to(sinogram), geometry)
    kernel = torch.as_tensor(_ramp(geometry.detectors, step, curved)).to(p)
    return _backproject(_convolve(p, kernel, filter), geometry, grid, step)


def _both_sides(p: Tensor, geometry: Geometry) -> tuple[Tensor, Geometry]:
    """Weighted line integrals with zeros where a displaced detector lacks the opposite side."""
    lacking = int(2 * abs(geometry.offset))
    p = torch.nn.functional.pad(p, (0, lacking) if geometry.offset > 0 else (lacking, 0))
    offset = geometry.offset - math.copysign(lacking / 2, geometry.offset)
    return p, replace(geometry, detectors=geometry.detectors + lacking, offset=offset)


def _ramp(n: int, step: float, curved: bool) -> np.ndarray:
    """h (or g) at the lags 0, 1, ..., ..., -2, -1 elements: wrapped for an FFT of at least 2 n - 1 points."""
    size = 1 << (2 * n - 2).bit_length()
    k = np.minimum(np.arange(size), size - np.arange(size))
    x = np.maximum(k, 1) * step
    if curved:
        x = np.sin(np.minimum(x, max(n - 1, 1) * step))  # lags of n and more meet only the padding
    h = np.where(k % 2 == 1, -1 / (math.pi * x) ** 2, 0.0)
    h[0] = 1 / (4 * step**2)
    return h


def _convolve(p: Tensor, kernel: Tensor, filter: str) -> Tensor:
    """p * kernel along the detector, with the filter's window."""
    size = len(kernel)
    window = FILTERS[filter](torch.fft.rfftfreq(size, dtype=p.dtype, device=p.device))
    spectrum = torch.fft.rfft(p, size) * (torch.fft.rfft(kernel).real * window)
    return torch.fft.irfft(spectrum, size)[..., : p.shape[-1]]


def _backproject(q: Tensor, geometry: Geometry, grid: Grid, step: float) -> Tensor:
    """sum_v (distance weight) q_v(position of the pixel's ray), by linear interpolation: (B, H, W)."""
    H, W = grid.matrix
    x = (torch.arange(W, dtype=q.dtype, device=q.device) - 0.5 * (W - 1)) * grid.pixel
    y = (0.5 * (H - 1) - torch.arange(H, dtype=q.dtype, device=q.device))[:, None] * grid.pixel
    n, centre = geometry.detectors, 0.5 * (geometry.detectors - 1) + geometry.offset
    padded = torch.nn.functional.pad(q, (1, 1))  # a zero beyond each end
    image = q.new_zeros(q.shape[0], H, W)
    for v, beta in enumerate(geometry.angles):
        along_u = x * math.cos(beta) + y * math.sin(beta)
        factor: Tensor | float = 1.0
        if isinstance(geometry, FanBeam):
            L = geometry.source_origin + y * math.cos(beta) - x * math.sin(beta)
            if geometry.curved:
                factor = 1 / (L * L + along_u * along_u)
                along_u = torch.atan2(along_u, L)
            else:
                factor = (geometry.source_origin / L) ** 2
                along_u = geometry.source_origin * along_u / L
        k = (along_u / step + (centre + 1)).clamp(0, n + 1)
        k0 = k.long().clamp_max(n)
        view = padded[:, v]
        image += factor * torch.lerp(view[:, k0], view[:, k0 + 1], k - k0)
    return image


@dataclass(frozen=True)
class FBP(Baseline):
    """Filtered backprojection.

    Attributes:
        filter: window on the ramp: ramp, shepp-logan, cosine, hamming or hann.
    """

    name = "fbp"
    line = "CT: filtered backprojection; filter=ramp, shepp-logan, cosine, hamming or hann"
    title, scans = "FBP", (Modality.CT,)
    filter: str = "ramp"

    def image(self, problem: Problem) -> Tensor:
        return fbp(problem.y, *ct_geometry(problem), self.filter, measured_rays(problem))


def ct_geometry(problem: Problem) -> tuple[Geometry, Grid]:
    """The geometry and the pixels of a CT problem. Raises ValueError for an operator without."""
    geometry, grid = (getattr(problem.operator, name, None) for name in ("geometry", "grid"))
    if not isinstance(geometry, Geometry) or not isinstance(grid, Grid):
        raise ValueError(f"FBP needs the geometry of a CT scan, {problem.operator!r} has none")
    return geometry, grid


def bridged(problem: Problem) -> Tensor | None:
    """Where an iteration starts: FBP with lost rays interpolated, for iterations from zero do not fill the gaps in
    their number. None where no ray was lost: from zero, noise comes last."""
    return None if measured_rays(problem) is None else FBP().image(problem)
