"""What a NIfTI header says, and what it leaves open. No voxels are read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import limits
from .dicom_header import ASSUMED_MM
from .gzipped import unpacked
from .reader import one_of, told_pixel
from .scan import FormatError

_LARGEST_HEADER = 540  # bytes, NIfTI-2's; NIfTI-1's has 348
_MM = {"meter": 1e3, "mm": 1.0, "micron": 1e-3}
_INTENTS = {  # what is no image of intensities (nifti1.h)
    range(2, 25): "statistics",
    (1002, 1003): "labels",
    range(1004, 1011): "vectors or matrices",
    range(2002, 2019): "values on a surface, or a deformation",
    range(3000, 3100): "CIFTI, values on surfaces and in voxels",
}


@contextmanager
def quietly() -> Iterator[None]:
    """What nibabel repairs in other people's headers is not our user's business."""
    from nibabel.imageglobals import logger

    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def header_of(path: Path) -> tuple[Any, bool]:
    """nibabel's header, of the first bytes and whatever the name, and whether it states the pixels' size (nibabel takes
    1 where it does not). Raises FormatError where a volume is larger than memory."""
    import nibabel
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    with unpacked(path) as file:
        start = file.read(_LARGEST_HEADER)
    kind = nibabel.Nifti2Header if start[4:6] in (b"n+", b"ni") else nibabel.Nifti1Header
    try:
        with quietly():
            block = start[: kind.template_dtype.itemsize]
            sizes = np.asarray(kind(block, check=False)["pixdim"])[1:3]
            header = kind(block)
    except (HeaderDataError, WrapStructError) as error:
        raise FormatError(
            f"{path.name}: the NIfTI header is damaged ({error}); copy the file again"
        ) from error
    shape = header.get_data_shape()
    volume = math.prod(int(n) for n in shape[:3]) * (header.get_data_dtype().itemsize + 8)
    limits.check_size(int(header["vox_offset"]) + volume, path.name, f"{shape} voxels")
    return header, bool(np.all(np.isfinite(sizes) & (sizes != 0)))


def length(header: Any) -> int:
    """Bytes of the file, unpacked, up to the end of the array."""
    voxels = math.prod(int(n) for n in header.get_data_shape())
    return int(header["vox_offset"]) + voxels * header.get_data_dtype().itemsize


def refuse(header: Any, name: str) -> None:
    """Raise FormatError for what NIfTI also holds: colours, labels, statistics, vectors, values on surfaces."""
    code, shape = int(header["intent_code"]), header.get_data_shape()
    kind = next((words for codes, words in _INTENTS.items() if code in codes), "")
    if header.get_data_dtype().names:
        kind = "colours (RGB)"
    if kind:
        raise FormatError(
            f"{name}: holds {kind}, expected the intensities of a CT or MR scan; pass the scan itself"
        )
    if any(n > 1 for n in shape[4:]):
        raise FormatError(
            f"{name}: got {len(shape)} axes {shape}, expected up to four: x, y, z, and volumes; split it first"
        )
    if not shape or min(shape) < 1:
        raise FormatError(f"{name}: got the shape {shape}, expected at least one voxel; copy it again")


def volumes_in(header: Any) -> int:
    """How many volumes lie along the fourth axis."""
    return int((*header.get_data_shape(), 1, 1, 1)[3])


def chosen_volume(header: Any, name: str, volume: int | None, time: int | None) -> int:
    """The index of the one volume that is asked for. Raises FormatError for one that is not there, and where there are
    several and none is asked for."""
    count = volumes_in(header)
    if volume is not None and time is not None and volume != time:
        raise FormatError(
            f"{name}: got --volume {volume} and --time {time}, expected one of them: there is one axis of volumes"
        )
    option, k = ("time", time) if time is not None else ("volume", volume)
    return one_of(count, k, option, name, "volumes")


def _unit(header: Any) -> str:
    try:
        return header.get_xyzt_units()[0]
    except KeyError:  # a code that the standard does not know
        return "unknown"


def spacing_of(
    header: Any, is_sized: bool, name: str, pixel_mm: float | None
) -> tuple[tuple[float, float, float], bool, list[str]]:
    """(dz, dy, dx) [mm], whether the pixels' size is a guess, and the words for what was assumed."""
    sizes = [abs(float(s)) for s in header.get_zooms()[:3]]
    sizes += [0.0] * (3 - len(sizes))
    scale, remarks = _MM.get(_unit(header)), []
    known = [bool(np.isfinite(s)) and s > 0 and is_sized for s in sizes]
    if scale is None and pixel_mm is None and all(known[:2]):
        remarks.append("the unit of the voxel size is not stored; mm assumed (--pixel-mm says it)")
    dx, dy, dz = (s * (scale or 1.0) if ok else 0.0 for s, ok in zip(sizes, known, strict=True))
    assumed = not (dx and dy)
    if pixel_mm is not None:
        side = told_pixel(name, pixel_mm, None if scale is None or assumed else (dy, dx))
        if not assumed:
            dx, dy, dz = side, dy * side / dx, dz * side / dx
        else:
            dx = dy = side
            assumed = False
    if assumed:
        dx = dy = ASSUMED_MM
        remarks.append(f"the pixel size is not stored; {ASSUMED_MM:g} mm assumed (--pixel-mm says it)")
    if not dz:
        dz = ASSUMED_MM
        remarks.append(f"the slice distance is not stored; {ASSUMED_MM:g} mm assumed")
    return (dz, dy, dx), assumed, remarks
