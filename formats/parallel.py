"""What the formats of synchrotrons share: projections, flat and dark fields of a parallel beam -> Scan. Each row of the
detector is a slice; units of angles and lengths; where the rotation axis stands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..geometry import ParallelBeam
from ..modality import Modality
from . import limits
from .counts import LineIntegrals
from .hdf5 import text, whole
from .reader import Slices, choose, geometry_or_faults, told_or_stated
from .scan import FormatError, Scan, one_turn, square_around

FEW = 10  # views: so many over so few degrees as a turn has radians are no scan
OPTIONS = ("center", "drop_columns", "pixel_mm")
_MM = {"m": 1e3, "cm": 10.0, "mm": 1.0, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "nm": 1e-6}
_MM |= {"meter": 1e3, "metre": 1e3, "millimeter": 1.0, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3}


@dataclass(frozen=True)
class Rows:
    """The rows and columns of the detector that are read: `rows` (indices), columns from `first` on."""

    rows: np.ndarray
    first: int

    @classmethod
    def chosen(cls, data: h5py.Dataset, slices: Slices, drop_columns: int, source: str) -> Rows:
        """Raises FormatError for data that are not (frames, rows, columns), or a choice that is not in them."""
        if data.ndim != 3 or not data.size or data.dtype.kind not in "uif":
            raise FormatError(
                f"{source}: got projections of shape {data.shape} and type {data.dtype}, expected real numbers (views, "
                "rows, columns)"
            )
        if not 0 <= drop_columns < data.shape[2] - 1:
            raise FormatError(f"{source}: got drop_columns {drop_columns}, expected 0 to {data.shape[2] - 2}")
        return cls(choose(data.shape[1], slices, source), drop_columns)

    def of(self, data: h5py.Dataset) -> np.ndarray:
        """These of (frames, rows, columns) or of one frame (rows, columns); no other rows are read."""
        if data.dtype.kind not in "buif":
            raise FormatError(
                f"{Path(data.file.filename).name}: got {data.name} of type {data.dtype}, expected numbers"
            )
        if data.ndim not in (2, 3) or data.shape[-2] <= self.rows.max():
            return whole(data)  # of another shape: `line_integrals` says so
        lowest, end = int(self.rows.min()), int(self.rows.max()) + 1
        size = data.nbytes * (end - lowest) / data.shape[-2]
        limits.check_size(size, Path(data.file.filename).name, str(data.name))
        return data[..., lowest:end, self.first :][..., self.rows - lowest, :]


def parallel_scan(
    measured: LineIntegrals,
    *,
    degrees: np.ndarray | None,
    stated_mm: float | None,
    center: float | None,
    drop_columns: int,
    pixel_mm: float | None,
    source: str,
) -> Scan:
    """The scan of parallel projections.

    Args:
        measured: without the columns that were dropped.
        degrees: (views,); None: not stored, evenly from 0 to 180.
        stated_mm: the detector's pixel, as the file states it; None: it does not.
        center: column of the rotation axis, counted from 0 in the file; None: the middle of what is read.
        drop_columns: so many columns at the left were dropped.
        pixel_mm: the detector's pixel, as the user says.

    Raises:
        FormatError: angles that look like radians, a centre outside the detector, a pixel that is not the file's.
    """
    views, detectors = measured.data.shape[1:]
    remarks = list(measured.remarks)
    pixel = told_or_stated(source, pixel_mm, stated_mm)
    if pixel is None:
        remarks.append("the detector's pixel size is not stored; 1 mm is assumed (--pixel-mm says it)")
    if degrees is None:
        degrees = np.linspace(0, 180, views)
        remarks.append("the angles are not stored: evenly from 0 to 180 degrees is assumed")
    elif len(degrees) > FEW and degrees.max() < degrees.min() + 2 * np.pi + 0.1:
        raise FormatError(
            f"{source}: got {len(degrees)} views over {np.ptp(degrees):.3g} degrees, expected about 180 or 360; "
            "these look like radians: give the dataset of the angles the attribute units = 'rad'"
        )
    offset, matrix = _axis(detectors, center, drop_columns, source)
    if center is None:
        remarks.append(
            "the rotation axis is taken to be in the middle of the detector (--center says its column)"
        )
    beam = partial(ParallelBeam, tuple(one_turn(degrees)), detectors, pixel or 1.0, offset=offset)
    return Scan(
        Modality.CT,
        measured.data,
        matrix,
        pixel or 1.0,
        **geometry_or_faults(beam),
        mask=measured.mask,
        header={"modality": "CT"},
        source=source,
        pixel_assumed=pixel is None,
        remarks=tuple(remarks),
    )


def _axis(
    elements: int, center: float | None, drop_columns: int, source: str
) -> tuple[float, tuple[int, int]]:
    """How many elements the rotation axis stands from the middle of the detector, and the grid, in pixels of an
    element's size."""
    offset = 0.0 if center is None else center - drop_columns - (elements - 1) / 2
    if not abs(offset) < elements / 2:
        raise FormatError(
            f"{source}: got center {center}, expected a column of {drop_columns} to {drop_columns + elements - 1}"
        )
    return float(offset), square_around(elements, offset)


def degrees_of(item: h5py.Dataset) -> np.ndarray:
    """Angles in degrees; radians where the units attribute says so."""
    if item.dtype.kind not in "buif" or item.shape is None:
        raise FormatError(
            f"{Path(item.file.filename).name}: got angles of type {item.dtype}, expected numbers"
        )
    angles = np.ravel(np.asarray(item[()], dtype=np.float64))
    return np.rad2deg(angles) if _units(item).startswith("rad") else angles


def range_of(degrees: np.ndarray | None) -> tuple[float, float] | str:
    """The least and the greatest angle, for `describe`."""
    if degrees is None or not degrees.size:
        return "not stored"
    return round(float(degrees.min()), 4), round(float(degrees.max()), 4)


def millimetres_of(item: Any, unsaid: str | None = None) -> float | None:
    """A length in mm, None where `item` is no positive number or has no unit that is known; `unsaid` is the unit of
    a dataset without the attribute."""
    if not isinstance(item, h5py.Dataset) or item.size != 1 or item.dtype.kind not in "uif":
        return None
    factor = _MM.get(_units(item) or unsaid or "")
    value = float(np.ravel(item[()])[0])
    return value * factor if factor and np.isfinite(value) and value > 0 else None


def _units(item: h5py.Dataset) -> str:
    return text(item.attrs.get("units", "")).strip().lower()
