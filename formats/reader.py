"""What a format's reader is, and what all readers share: the choice of slices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..geometry import Geometry, GeometryError
from .scan import FormatError, Scan, Volume

Slices = slice | list[int] | None
NO_PIXEL = "the pixel size is not stored; 1 mm is assumed (--pixel-mm says it)"
_RINGING = 0.02  # of the largest value
IN_COLOUR = (
    "holds pictures in colour, expected a scan or its images; they are for `train`, `likelihood`, `evaluate`"
)


@dataclass(frozen=True)
class Reader:
    """A format's name, how it is read and described, the options of `read` it understands besides `slices`, and those
    of them that change what `describe` says."""

    name: str
    read: Callable[..., Scan | Volume]
    describe: Callable[..., dict[str, Any]]
    options: tuple[str, ...] = ()
    describes: tuple[str, ...] = ()


def geometry_or_faults(make: Callable[[], Geometry]) -> dict[str, Any]:
    """The `geometry` of a Scan, or the `faults` of one that cannot be."""
    try:
        return {"geometry": make()}
    except GeometryError as error:
        return {"faults": error.faults}


def choose(count: int, slices: Slices, source: str) -> np.ndarray:
    """Indices of the chosen slices. Raises FormatError for an index outside or an empty choice."""
    if slices is None:
        return np.arange(count)
    if isinstance(slices, slice):
        index = np.arange(count)[slices]
    else:
        index = np.asarray(slices, dtype=int)
        if index.size and (index.min() < -count or index.max() >= count):
            raise FormatError(f"{source}: got slices {list(slices)}, expected 0 to {count - 1}")
        index = index % max(count, 1)
    if not index.size:
        raise FormatError(
            f"{source}: got slices {slices}, which choose none of the {count}; expected 0 to {count - 1}"
        )
    return index


def one_of(count: int, chosen: int | None, option: str, source: str, what: str) -> int:
    """Which of several (`what`, in the plural) is read, from 0. Raises FormatError where none was chosen of several,
    and for one that is not there."""
    if chosen is None and count > 1:
        raise FormatError(
            f"{source}: holds {count} {what}, expected one; choose with --{option} 0 to {count - 1}"
        )
    if not 0 <= (chosen or 0) < count:
        raise FormatError(f"{source}: got --{option} {chosen}, expected 0 to {count - 1}")
    return chosen or 0


def spread(item: Scan | Volume, slices: Slices) -> Scan | Volume:
    """What a reader gave for the chosen `slices`, with their distance instead of that of all slices. Of slices that lie
    unevenly it is the mean, which is said."""
    if isinstance(slices, slice):
        steps = np.array([abs(slices.step or 1)])
    else:
        steps = np.abs(np.diff(np.asarray([] if slices is None else slices, dtype=int)))
    if len(item.data) < 2 or item.spacing is None or not steps.any() or (steps == 1).all():
        return item
    dz, dy, dx = item.spacing
    uneven = (
        ("the chosen slices lie unevenly; the mean of their distances is taken",) if np.ptp(steps) else ()
    )
    return dataclasses.replace(
        item, spacing=(dz * float(steps.mean()), dy, dx), remarks=(*item.remarks, *uneven)
    )


def told_pixel(source: str, pixel_mm: float, stated: tuple[float, ...] | None) -> float:
    """The pixel size [mm] that a user told. Raises FormatError where the file states (dy, dx), another one, and for a
    length that is none."""
    if not np.isfinite(pixel_mm) or pixel_mm <= 0:
        raise FormatError(f"{source}: got pixel_mm {pixel_mm}, expected a positive length in mm")
    if stated is not None and not np.allclose(stated, pixel_mm, rtol=1e-3, atol=0):
        sides = " x ".join(f"{side:g}" for side in stated)
        raise FormatError(
            f"{source}: states pixels of {sides} mm, got --pixel-mm {pixel_mm:g}; leave it out, it is for files that "
            "do not say it"
        )
    return float(pixel_mm)


def told_or_stated(source: str, pixel_mm: float | None, stated: float | None) -> float | None:
    """The side of a pixel [mm], as told or as the file states it; None for neither. Raises as `told_pixel` does."""
    return stated if pixel_mm is None else told_pixel(source, pixel_mm, None if stated is None else (stated,))


def negative(data: np.ndarray) -> str:
    """What speaks against magnitudes in MR images: values below zero, beyond what interpolation makes of an edge; ""
    for nothing."""
    low, high = float(data.min(initial=0)), float(np.abs(data).max(initial=0))
    if low >= -_RINGING * high:
        return ""
    return f"values go down to {low:.4g}: no magnitudes, but phase, a map, or images that were normalised"
