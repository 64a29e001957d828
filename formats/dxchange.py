"""DXchange HDF5 (synchrotron tomography, https://dxfile.readthedocs.io): exchange/data (views, rows, columns)
of raw counts, exchange/data_white, exchange/data_dark, exchange/theta in degrees.

Parallel beam; each detector row is a slice. The line integral is p = -log((d - dark) / (white - dark)), white
and dark averaged over their frames; transmissions below one count in the flat field are raised to it (how
many, says the header).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .hdf5 import dataset, open_hdf5
from .reader import Slices, choose
from .scan import FormatError, Header, Scan, square_around

_PIXEL_SIZES = {  # where beamlines keep the detector's pixel size
    "measurement/instrument/detection_system/objective/resolution": 1e-3,  # µm
    "measurement/instrument/detector/actual_pixel_size_x": 1e-3,
    "measurement/instrument/detector/pixel_size": 1e-3,
}
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
        if data.ndim != 3 or not data.size:
            raise FormatError(
                f"{source}: got exchange/data of shape {data.shape}, expected (views, rows, columns)"
            )
        views, rows, columns = data.shape
        index = choose(rows, slices, source)
        if not 0 <= drop_columns < columns - 1:
            raise FormatError(f"{source}: got drop_columns {drop_columns}, expected 0 to {columns - 2}")
        lowest, highest = int(index.min()), int(index.max()) + 1
        keep = (index - lowest, slice(drop_columns, None))
        counts = data[:, lowest:highest][:, keep[0], keep[1]].astype(np.float32)
        white, dark = (
            _field(file, name, data.shape, source)[index][:, keep[1]] for name in ("white", "dark")
        )
        theta = _theta(file, views)
        spacing = pixel_mm if pixel_mm is not None else _pixel_size(file)
    if not (white > dark).any():
        raise FormatError(
            f"{source}: the flat field is nowhere above the dark field; expected exchange/data_white to be "
            "a beam"
        )
    header: Header = {"modality": "CT"}
    flat = np.maximum(white - dark, 1.0)
    counts -= dark
    header["floored"] = int((counts < 1).sum())
    if dead := int((white - dark < 1).sum()):
        header["dead_pixels"] = dead
    sinogram = -np.log(np.maximum(counts, 1.0) / flat)
    if spacing is None:
        spacing, header["pixel_size"] = 1.0, "not stored; 1 mm assumed"
    if theta is None:
        theta, header["angles"] = np.linspace(0, 180, views), "not stored; 0 to 180 degrees assumed"
    elements = columns - drop_columns
    offset = 0.0 if center is None else center - drop_columns - (elements - 1) / 2
    if abs(offset) >= elements / 2:
        raise FormatError(
            f"{source}: got center {center}, expected a column of {drop_columns} to {columns - 1}"
        )
    geometry = {
        "type": "parallel",
        "angles": np.deg2rad(np.fmod(theta, 360)),
        "detector_spacing": float(spacing),
        "detector_offset": float(offset),
    }
    return Scan(
        "ct",
        np.ascontiguousarray(sinogram.transpose(1, 0, 2), dtype=np.float32),
        square_around(elements, offset),
        float(spacing),
        geometry=geometry,
        header=header,
        source=source,
    )


def describe_dxchange(path: Path) -> dict[str, Any]:
    """Shapes and angles; no projections are read."""
    with open_hdf5(path) as file:
        data = dataset(file, "exchange/data", path.name)
        theta = _theta(file, len(data))
        return {
            "kind": "ct",
            "data": data.shape,
            "axes": "view, row, column",
            "counts": str(data.dtype),
            "flat_fields": _frames(file, "exchange/data_white"),
            "dark_fields": _frames(file, "exchange/data_dark"),
            "degrees": "not stored"
            if theta is None
            else (round(float(theta.min()), 4), round(float(theta.max()), 4)),
            "pixel_mm": _pixel_size(file) or "not stored",
        }


def _field(file: h5py.File, name: str, shape: tuple[int, ...], source: str) -> np.ndarray:
    """The mean flat ("white") or dark field, (rows, columns) float32; no dark field is zero."""
    full = f"exchange/data_{name}"
    if name == "dark" and full not in file:
        return np.zeros(shape[1:], dtype=np.float32)
    frames = np.asarray(dataset(file, full, source)[()], dtype=np.float32)
    mean = frames.mean(0) if frames.ndim == 3 else frames
    if mean.shape != tuple(shape[1:]):
        raise FormatError(
            f"{source}: got {full} of shape {frames.shape}, expected frames of {tuple(shape[1:])}"
        )
    return mean


def _frames(file: h5py.File, name: str) -> int:
    item = file.get(name)
    return len(item) if isinstance(item, h5py.Dataset) and item.ndim == 3 else int(item is not None)


def _theta(file: h5py.File, views: int) -> np.ndarray | None:
    """Angles [degrees], or None where the file has none. Radians are recognised by their units attribute
    only."""
    for name in _THETAS:
        item = file.get(name)
        if isinstance(item, h5py.Dataset):
            theta = np.ravel(np.asarray(item[()], dtype=np.float64))
            units = item.attrs.get("units", "deg")
            units = units.decode() if isinstance(units, bytes) else str(units)
            return np.rad2deg(theta) if units.lower().startswith("rad") else theta
    return None


def _pixel_size(file: h5py.File) -> float | None:
    """[mm], from the first place that has it; the units attribute decides, else micrometres."""
    for name, scale in _PIXEL_SIZES.items():
        item = file.get(name)
        if isinstance(item, h5py.Dataset) and item.size == 1:
            units = str(item.attrs.get("units", "um"))
            factor = {"mm": 1.0, "m": 1e3}.get(units, scale)
            value = float(np.asarray(item[()], dtype=np.float64).reshape(()))
            if np.isfinite(value) and value > 0:
                return value * factor
    return None
