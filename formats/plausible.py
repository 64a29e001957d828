"""Numbers that no scanner measures, and from which float32 would make an empty image or noise: what to say of them.

k-space has any unit, and is scaled by whoever reconstructs it; what counts is its range, and that its largest values
are those of the image's mean, in the centre. Line integrals have none: e^-100 of the photons is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..geometry import FanBeam, Geometry

SPARSEST = 0.05  # rad between views; over many turns more looks like degrees
LARGEST_INTEGRAL, LEAST_INTEGRAL = 100.0, 1e-6
RANGE = 1e9  # of the largest |k| to the median of those that are not zero: a clean phantom in float32 has 1e8
OFF_CENTRE = 100.0  # of the largest |k| outside of the centre, an eighth of each axis, to the largest inside
MAPS = 1e6  # of coil maps' root sum of squares, which is about 1


def geometry(beam: Geometry) -> Iterator[str]:
    """Of where the rays lie."""
    if (arc := np.ptp(beam.angles)) > max(8 * np.pi, SPARSEST * beam.views):
        yield (
            f"got {beam.views} angles over {arc:.4g} rad, expected at most 8 pi, or steps of less than {SPARSEST} rad; "
            "they may be degrees: convert them, or count every turn from 0 if they are not"
        )
    if isinstance(beam, FanBeam) and beam.source_detector <= beam.source_origin:
        yield (
            f"got source_detector {beam.source_detector:g} mm <= source_origin {beam.source_origin:g} mm, expected the "
            "detector behind the rotation centre; the two may be swapped"
        )
    if abs(beam.offset) >= beam.detectors / 2:
        yield (
            f"got detector offset {beam.offset:g}, expected less than half of the {beam.detectors} elements; it counts "
            "elements from the middle of the detector to the centre of rotation"
        )


def line_integrals(data: np.ndarray, mask: np.ndarray | None) -> Iterator[str]:
    """Of a sinogram (slices, views, detectors), where it was measured."""
    measured = np.ones(data.shape[1:], bool) if mask is None else np.asarray(mask, bool)
    size = np.where(measured, np.abs(data), 0)
    place = np.unravel_index(np.argmax(size), size.shape)
    largest = float(size[place])
    if largest > LARGEST_INTEGRAL:
        yield (
            f"the line integral of {_at(('slice', 'view', 'element'), place)} is {data[place]:.3g}, expected -log of a "
            f"transmission, at most {LARGEST_INTEGRAL:g}; repair that element or mask it, or check the scaling"
        )
    elif 0 < largest < LEAST_INTEGRAL:
        yield (
            f"the largest line integral is {largest:.3g}, less than any detector sees; expected -log of a "
            "transmission, about 0.1 to 10: check the scaling"
        )


def kspace(data: np.ndarray) -> Iterator[str]:
    """Of k-space (slices, coils, ky, kx): the first spike."""
    ky, kx = data.shape[-2:]
    centre = tuple(slice(n // 2 - n // 16, n // 2 + n // 16 + 1) for n in (ky, kx))
    for number, item in enumerate(data):
        size = np.abs(item)
        largest = float(size.max())
        if not largest > 0:
            continue
        place = np.unravel_index(np.argmax(size), size.shape)
        middle, typical = float(size[(slice(None), *centre)].max()), float(np.median(size[size > 0]))
        if largest > RANGE * typical or largest > OFF_CENTRE * middle > 0:
            yield (
                f"the sample at {_at(('slice', 'coil', 'ky', 'kx'), (number, *place))} is {largest:.3g}, "
                f"{largest / typical:.2g} times the median, and would be all of the image: a spike; set it to zero "
                "and mask it, or acquire again"
            )
            return


def coil_maps(maps: np.ndarray) -> Iterator[str]:
    """Of maps (slices, coils, H, W)."""
    for number, item in enumerate(maps):
        with np.errstate(over="ignore"):
            size = np.sqrt((np.abs(item).astype(np.float64) ** 2).sum(0))
        if not size.any():
            yield f"the coil maps of slice {number} are zero everywhere, expected sensitivities: estimate them"
            return
        typical = float(np.median(size[size > 0]))
        if not 1 / MAPS < typical < MAPS:
            yield (
                f"the coil maps of slice {number} have a root sum of squares of {typical:.3g}, expected about 1: "
                "normalise them"
            )
            return


def _at(names: tuple[str, ...], place: tuple[Any, ...]) -> str:
    """Where a value lies, counted from 1."""
    return ", ".join(f"{name} {int(index) + 1}" for name, index in zip(names, place, strict=True))
