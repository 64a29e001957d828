"""Two plain HDF5 layouts for raw data from anywhere (docs/formats.md).

simple sinogram   sinogram ([slices,] views, detectors), angles_deg (views,); mask (views, detectors), optional, 0
                  where a ray was lost; attributes geometry ("parallel …" or "fan …", with "curved" for an
                  arc-shaped detector), detector_pixel_mm,
                  source_origin_mm, source_detector_mm, detector_offset [elements], detectors (their number,
                  to check against), angle_direction
                  ("counter-clockwise", the default, or "clockwise"), object_pixel_mm and matrix (or
                  object_pixel_mm_at_N for an N x N matrix), kv, mu_water [1/mm]
simple k-space    kspace ([slices, coils,] ky, kx) complex, centred; mask ([slices,] ky, kx), optional; attributes
                  pixel_mm
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from ..geometry import FanBeam, ParallelBeam
from ..modality import Modality
from .hdf5 import Attributed, dataset, number, open_hdf5, take, text, whole
from .kspace import kspace_scan
from .reader import Slices, choose, geometry_or_faults
from .scan import FormatError, Header, Scan, one_turn, square_around

ATTRIBUTES = {
    "geometry", "detector_pixel_mm", "source_origin_mm", "source_detector_mm", "angle_direction", "detector_offset",
    "detectors", "matrix", "object_pixel_mm", "kv", "mu_water", "pixel_mm",
}  # fmt: skip


def read_sinogram(path: str | Path, slices: Slices = None, angle_sign: int | None = None) -> Scan:
    """Read a simple sinogram.

    Args:
        angle_sign: +1 where the listed angles grow counter-clockwise (ours), -1 where they grow clockwise; by
            default what the attribute angle_direction says.

    Raises:
        FormatError: a missing dataset or attribute, or a geometry that is neither parallel nor fan.
    """
    source = Path(path).name
    with open_hdf5(path) as file:
        angles = np.asarray(dataset(file, "angles_deg", source)[()])
        data, mask = dataset(file, "sinogram", source), _mask(file, source)
        return sinogram_of(file, data, angles, mask, source, slices, angle_sign)


def read_kspace(path: str | Path, slices: Slices = None, pixel_mm: float | None = None) -> Scan:
    """Read a simple k-space. Without a mask, points that are zero in all coils count as not measured.

    Raises:
        FormatError: k-space that is real or has another number of axes.
    """
    source = Path(path).name
    with open_hdf5(path) as file:
        return kspace_of(file, dataset(file, "kspace", source), _mask(file, source), source, slices, pixel_mm)


def sinogram_of(
    said: Attributed,
    data: h5py.Dataset | np.ndarray,
    angles: np.ndarray,
    mask: np.ndarray | None,
    source: str,
    slices: Slices,
    angle_sign: int | None,
) -> Scan:
    """The scan of a sinogram ([slices,] views, detectors) and the attributes `said`, wherever they were stored."""
    if data.ndim not in (2, 3) or data.dtype.kind not in "buif" or angles.dtype.kind not in "buif":
        raise FormatError(
            f"{source}: got a sinogram of shape {data.shape} and type {data.dtype} with angles of type {angles.dtype}, "
            "expected real numbers ([slices,] views, detectors)"
        )
    sign = _sign(said, source) if angle_sign is None else angle_sign
    if sign not in (1, -1):
        raise FormatError(f"{source}: got angle_sign {angle_sign}, expected 1 or -1")
    words = text(said.attrs.get("geometry", ""))
    kind = next((k for k in ("fan", "parallel") if k in words.lower()), None)
    if kind is None:
        raise FormatError(
            f"{source}: got the attribute geometry = {words!r}, expected a text with 'parallel' or 'fan'"
        )
    spacing = number(said, "detector_pixel_mm", source)
    offset = number(said, "detector_offset", source, 0.0)
    view = sign * one_turn(angles), int(number(said, "detectors", source, data.shape[-1])), spacing
    beam, magnification = partial(ParallelBeam, *view, offset=offset), 1.0
    if kind == "fan":
        origin, detector = (number(said, f"source_{end}_mm", source) for end in ("origin", "detector"))
        beam = partial(FanBeam, *view, origin, detector, "curved" in words.lower(), offset=offset)
        magnification = detector / origin
    widest = square_around(data.shape[-1], offset)
    matrix, pixel = _object_grid(said, source, widest, spacing / magnification)
    header: Header = {"modality": "CT"}
    header |= {name: number(said, name, source) for name in ("kv", "mu_water") if name in said.attrs}
    index = choose(1 if data.ndim == 2 else len(data), slices, source)
    sinogram = whole(data)[None][index] if data.ndim == 2 else take(data, index)
    return Scan(
        Modality.CT,
        sinogram.astype(np.float32),
        matrix,
        pixel,
        **geometry_or_faults(beam),
        mask=mask,
        header=header,
        source=source,
    )


def kspace_of(
    said: Attributed,
    data: h5py.Dataset | np.ndarray,
    mask: np.ndarray | None,
    source: str,
    slices: Slices,
    pixel_mm: float | None,
) -> Scan:
    """The scan of k-space ([slices, coils,] ky, kx) and the attributes `said`, wherever they were stored."""
    if data.ndim not in (2, 4) or data.dtype.kind != "c":
        further = "; choose or average along a fifth axis (averages, echoes, times)" if data.ndim == 5 else ""
        raise FormatError(
            f"{source}: got kspace of shape {data.shape} and type {data.dtype}, expected complex "
            "(slice, coil, ky, kx) or (ky, kx); add the missing axes or join real and imaginary part"
            + further
        )
    index = choose(1 if data.ndim == 2 else len(data), slices, source)
    kspace = (whole(data)[None, None] if data.ndim == 2 else take(data, index)).astype(np.complex64)
    mask = mask[index] if mask is not None and mask.ndim == 3 and len(mask) == len(data) else mask
    stated = number(said, "pixel_mm", source) if "pixel_mm" in said.attrs else None
    return kspace_scan(kspace, mask=mask, stated_mm=stated, pixel_mm=pixel_mm, source=source)


def _mask(file: h5py.File, source: str) -> np.ndarray | None:
    return np.asarray(dataset(file, "mask", source)[()]) != 0 if "mask" in file else None


def _sign(file: Attributed, source: str) -> int:
    direction = text(file.attrs.get("angle_direction", "counter-clockwise")).lower()
    signs = {"counter-clockwise": 1, "counterclockwise": 1, "clockwise": -1}
    if direction not in signs:
        raise FormatError(
            f"{source}: got angle_direction {direction!r}, expected 'clockwise' or 'counter-clockwise'"
        )
    return signs[direction]


def _object_grid(
    file: Attributed, source: str, matrix: tuple[int, int], pixel: float
) -> tuple[tuple[int, int], float]:
    """(H, W) and the pixel [mm]; by default all that the detector sees, `matrix` pixels of a detector's size at the
    rotation centre."""
    if "matrix" in file.attrs:
        sides = [int(n) for n in np.ravel(np.asarray(file.attrs["matrix"]))]
        pixel = pixel * matrix[1] / sides[-1]
        matrix = (sides[0], sides[-1])
    for name in file.attrs:
        if found := re.fullmatch(r"object_pixel_mm_at_(\d+)", name):
            matrix, pixel = (int(found[1]), int(found[1])), number(file, name, source)
    return matrix, number(file, "object_pixel_mm", source, pixel)
