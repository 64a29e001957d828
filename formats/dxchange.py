"""DXchange HDF5 (synchrotron tomography, https://dxfile.readthedocs.io): exchange/data (views, rows, columns)
of counts or transmissions, exchange/data_white, exchange/data_dark, exchange/theta in degrees.

Parallel beam; each detector row is a slice (`parallel`); from counts to line integrals: `counts`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .counts import line_integrals
from .hdf5 import dataset, open_hdf5
from .parallel import Rows, degrees_of, millimetres_of, parallel_scan, range_of
from .reader import Slices
from .scan import FormatError, Scan

_PIXEL_SIZES = (  # where beamlines keep the detector's pixel size, in µm where they do not say
    "measurement/instrument/detection_system/objective/resolution",
    "measurement/instrument/detector/actual_pixel_size_x",
    "measurement/instrument/detector/pixel_size",
)
_THETAS = (
    "exchange/theta",
    "process/acquisition/rotation/theta",
    "process/acquisition/rotation/rotation_angle",
)


def read_dxchange(
    path: str | Path,
    slices: Slices = None,
    center: float | None = None,
    drop_columns: int = 0,
    pixel_mm: float | None = None,
) -> Scan:
    """Read detector rows as slices of a parallel-beam scan.

    Args:
        slices: the detector rows; all by default.
        center: column of the rotation axis, counted from 0 in the file (before columns are dropped); by
            default the middle.
        drop_columns: so many columns at the left are no image (a header pixel at Diamond: 1).
        pixel_mm: the detector's pixel [mm]; by default what the file says, else 1.

    Raises:
        FormatError: no flat field, wrong shapes or a centre outside the detector.
    """
    source = Path(path).name
    with open_hdf5(path) as file:
        data = dataset(file, "exchange/data", source)
        rows = Rows.chosen(data, slices, drop_columns, source)
        white = file.get("exchange/data_white")
        if not isinstance(white, h5py.Dataset) or not white.size:
            raise FormatError(
                f"{source}: got no flat field, expected frames in exchange/data_white; add it, as ones if "
                "exchange/data holds transmissions"
            )
        dark = file.get("exchange/data_dark")
        dark = rows.of(dark) if isinstance(dark, h5py.Dataset) and dark.size else None
        return parallel_scan(
            line_integrals(rows.of(data), rows.of(white), dark, source),
            degrees=_theta(file),
            stated_mm=_pixel_size(file),
            center=center,
            drop_columns=drop_columns,
            pixel_mm=pixel_mm,
            source=source,
        )


def describe_dxchange(path: Path) -> dict[str, Any]:
    """Shapes and angles; no projections are read."""
    with open_hdf5(path) as file:
        data = dataset(file, "exchange/data", path.name)
        return {
            "kind": "ct",
            "data": data.shape,
            "axes": "view, row, column",
            "counts": str(data.dtype),
            "flat_fields": _frames(file, "exchange/data_white"),
            "dark_fields": _frames(file, "exchange/data_dark"),
            "degrees": range_of(_theta(file)),
            "pixel_mm": _pixel_size(file) or "not stored",
        }


def _frames(file: h5py.File, name: str) -> int:
    item = file.get(name)
    return len(item) if isinstance(item, h5py.Dataset) and item.ndim == 3 else int(item is not None)


def _theta(file: h5py.File) -> np.ndarray | None:
    """Angles [degrees], or None where the file has none."""
    stored = (file.get(name) for name in _THETAS)
    return next((degrees_of(item) for item in stored if isinstance(item, h5py.Dataset) and item.size), None)


def _pixel_size(file: h5py.File) -> float | None:
    """[mm], from the first place that has it."""
    sizes = (millimetres_of(file.get(name), unsaid="um") for name in _PIXEL_SIZES)
    return next((size for size in sizes if size is not None), None)
