"""From a scan to a problem: the geometry or mask becomes an operator, what is known of the noise a noise model.

What a scan does not say is estimated from its own data: coil maps by ESPIRiT from the fully sampled centre, or from
calibration lines measured apart, the noise level of k-space from its corners, the noise of line integrals from their
differences along the detector.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..formats.scan import FormatError, Scan
from ..geometry import Geometry, Grid
from ..modality import Modality
from ..operators.acs import CALIBRATION
from ..operators.coils import espirit_maps
from ..operators.consistency import angles_reversed
from ..operators.mri import cartesian_mri
from ..operators.noise import ComplexGaussian, Gaussian, Photon
from ..operators.radon import Radon
from .assumed import assumed, calibration_shape, lacking
from .problem import Problem

Law = Photon | Gaussian | ComplexGaussian


def problem_of(scan: Scan, device: torch.device | str = "cpu") -> Problem:
    """The reconstruction problem of a scan, all its slices, on `device`.

    Raises:
        FormatError: where the scan lacks what an operator needs (geometry, calibration lines), or its angles run the
            wrong way round.
    """
    for what in lacking(scan):
        raise FormatError(f"{scan.source}: {what}")
    problem = _ct(scan) if scan.modality is Modality.CT else _mri(scan)
    return problem.to(device)


def assumptions(scan: Scan, problem: Problem) -> list[str]:
    """What was assumed or estimated to pose `problem_of(scan)`, a sentence each, with what was found."""
    found = problem.facts
    return [f"{line} (found: {found[key]})" if key in found else line for key, line in assumed(scan).items()]


def geometry_of(scan: Scan) -> tuple[Geometry, Grid]:
    """The geometry and the pixels of a CT scan. Raises FormatError without a geometry."""
    if scan.geometry is None:
        raise FormatError(f"{scan.source}: has no geometry; `scanprior validate` says what is missing")
    return scan.geometry, Grid(scan.matrix, scan.pixel_mm)


def _ct(scan: Scan) -> Problem:
    geometry, grid = geometry_of(scan)
    mask = None if scan.mask is None else np.array(scan.mask, bool)
    if wrong := angles_reversed(scan.data[len(scan.data) // 2], geometry, mask):
        raise FormatError(f"{scan.source}: {wrong}")
    y = torch.from_numpy(np.ascontiguousarray(scan.data, np.float32))
    valid = None if mask is None else torch.from_numpy(mask)
    if valid is not None:
        y = y * valid
    water = scan.header.get("mu_water")
    operator = Radon(geometry, grid, valid=valid)
    noise = _noise_of(scan, y, valid)
    facts = {"noise": _words_of(scan, noise)}
    return Problem(y, operator, noise, None if water is None else float(water), facts)


def _mri(scan: Scan) -> Problem:
    y = torch.from_numpy(np.ascontiguousarray(scan.data, np.complex64))
    mask = (
        torch.ones(y.shape[-2:], dtype=torch.bool)
        if scan.mask is None
        else torch.from_numpy(np.array(scan.mask))
    )
    origin = "given with the data"
    if scan.maps is not None:
        maps = torch.from_numpy(np.ascontiguousarray(scan.maps, np.complex64))
    else:
        centre = y if scan.calibration is None else _in_the_middle(scan.calibration, y.shape)
        size = min(*calibration_shape(scan), CALIBRATION)
        maps = espirit_maps(centre, calibration=size)
        lines = "the fully sampled centre of k-space" if scan.calibration is None else "lines measured apart"
        origin = f"ESPIRiT, from {lines}, {size} x {size}"
        if y.shape[1] == 1:
            origin = "one coil, its sensitivity taken as 1 everywhere"
    if len(maps) == 1 and len(y) > 1:
        maps = maps[0]
    noise = _noise_of(scan, y, mask)
    facts = {"noise": _words_of(scan, noise), "coil_maps": origin}
    return Problem(y * mask.unsqueeze(-3), cartesian_mri(mask, maps), noise, facts=facts)


def _in_the_middle(calibration: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    """Calibration lines (slices, coils, ny, nx) in the middle of a k-space of zeros, (slices, coils, ky, kx)."""
    kspace = torch.zeros(shape, dtype=torch.complex64)
    rows, columns = (
        slice(n // 2 - m // 2, n // 2 - m // 2 + m)
        for n, m in zip(shape[-2:], calibration.shape[-2:], strict=True)
    )
    kspace[..., rows, columns] = torch.from_numpy(np.ascontiguousarray(calibration, np.complex64))
    return kspace


def _noise_of(scan: Scan, y: Tensor, mask: Tensor | None = None) -> Law | None:
    """The scan's noise model, or one estimated from its data; None for data stated to be noise-free."""
    stated = scan.noise
    if stated is None:
        if scan.modality is Modality.CT:
            return Gaussian(sinogram_noise(y, mask))
        measured = torch.ones(y.shape[-2:], dtype=torch.bool) if mask is None else mask
        return ComplexGaussian(kspace_noise(y, measured))
    kind = stated["type"]
    if kind == "photon":
        return Photon(float(stated["photons"]), float(stated.get("electronic", 0.0)))
    sigma = float(stated["sigma"])
    if sigma == 0:
        return None
    return ComplexGaussian(sigma) if kind == "complex_gaussian" else Gaussian(sigma)


def _words_of(scan: Scan, noise: Law | None) -> str:
    """What the noise is taken to be, and who says so."""
    if noise is None:
        return "none, as the data state"
    if isinstance(noise, Photon):
        return f"{noise.photons:g} photons a ray, readout noise {noise.electronic:g}, as the data state"
    law = "Gaussian" if scan.modality is Modality.CT else "complex Gaussian"
    where = (
        "differences along the detector" if scan.modality is Modality.CT else "outermost samples of k-space"
    )
    origin = "as the data state" if scan.noise is not None else f"estimated from the {where}"
    return f"{law}, standard deviation {noise.sigma:.4g}, {origin}"


def kspace_noise(y: Tensor, mask: Tensor) -> float:
    """Standard deviation of the complex noise, from the outermost sampled tenth of k-space, where the object's signal
    is least: the median of |k| is sqrt(ln 2) sigma for noise alone. At least 1e-12 of the largest |k|."""
    ky, kx = mask.shape[-2:]
    radius = torch.hypot((torch.arange(ky) - ky // 2)[:, None] / ky, (torch.arange(kx) - kx // 2)[None] / kx)
    masks = mask if mask.ndim == 3 else mask[None]
    outer = torch.stack([m & (radius >= torch.quantile(radius[m], 0.9)) for m in masks]).expand(
        len(y), ky, kx
    )
    found = float(y.movedim(1, -1)[outer].abs().median()) / math.log(2) ** 0.5
    return max(found, 1e-12 * float(y.abs().max()))


def sinogram_noise(y: Tensor, valid: Tensor | None = None) -> float:
    """Standard deviation of the noise of line integrals (B, views, detectors), from their fourth differences d along
    the detector, which objects leave small: median |d| / (0.6745 sqrt 70). Fine detail of the object counts as noise:
    the least that is found in body CT is about 0.005.

    Args:
        valid: (views, detectors), True where measured; differences with other rays do not count. None: all.

    Raises:
        ValueError: where no five neighbouring rays were measured.
    """
    fourth = y.diff(n=4, dim=-1)
    whole = torch.ones_like(fourth, dtype=torch.bool)
    if valid is not None:
        whole &= valid.unfold(-1, 5, 1).all(-1)
        if not bool(whole.any()):
            raise ValueError(
                "the noise of the sinogram cannot be estimated: nowhere were five neighbouring rays measured; state "
                "`noise` in the file"
            )
    inside = whole & (y[..., 2:-2] > 0.05 * y.max())
    values = fourth[inside if bool(inside.any()) else whole]
    return max(float(values.abs().median()) / (0.6745 * 70**0.5), 1e-6)
