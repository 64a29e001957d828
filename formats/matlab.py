"""MATLAB 7.3 files of k-space: the variable kspace(ky, kx[, coil[, slice]]), complex; mask(ky, kx) and pixel_mm may be
there too.

MATLAB counts its first axis fastest; version 7.3 is HDF5, which lists the axes the other way round, and keeps complex
numbers as (real, imag). MATLAB drops last axes of one element, so that three axes are the coils of one slice. Older
versions are refused: scipy's parser crashes on damaged ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .hdf5 import dataset, open_hdf5, take, whole
from .kspace import kspace_scan
from .reader import Slices, choose
from .scan import FormatError, Scan

_COMPLEX = ("real", "imag")
_KSPACE = ("kspace", "ksp")  # what its variable's name begins with


def is_matlab(file: h5py.File) -> bool:
    """Whether HDF5 holds k-space as MATLAB writes it, and not ISMRMRD's header."""
    if "ismrmrd_header" in file:
        return False
    found = (file.get(name) for name in _variables(file))
    return any(
        isinstance(d, h5py.Dataset) and (d.dtype.names == _COMPLEX or "MATLAB_class" in d.attrs)
        for d in found
    )


def read_matlab(path: str | Path, slices: Slices = None, pixel_mm: float | None = None) -> Scan:
    """Read k-space of MATLAB 7.3. Raises FormatError for real numbers, or other axes."""
    source = Path(path).name
    with open_hdf5(path) as file:
        data = dataset(file, _one(_variables(file), source), source)
        _check(data, source)
        index = choose(len(data) if data.ndim == 4 else 1, slices, source)
        stored = take(data, index) if data.ndim == 4 else whole(data)
        mask, pixel = (_numbers(file, name, source) for name in ("mask", "pixel_mm"))
    return _scan(_complex(stored), mask, pixel, pixel_mm, source)


def describe_matlab(path: Path) -> dict[str, Any]:
    """The shape of k-space as MATLAB shows it; no k-space is read."""
    with open_hdf5(path) as file:
        data = dataset(file, _one(_variables(file), path.name), path.name)
        return {
            "kind": "mri",
            "kspace": data.shape[::-1],
            "axes": "ky, kx, coil, slice",
            "type": str(data.dtype),
        }


def _variables(file: h5py.File) -> list[str]:
    return [name for name in map(str, file) if name.lower().startswith(_KSPACE)]


def _one(names: list[str], source: str) -> str:
    if len(names) > 1 and "kspace" in names:
        return "kspace"
    if len(names) != 1:
        raise FormatError(
            f"{source}: got {', '.join(names) or 'no variable'} in a MATLAB file, expected one complex variable "
            "kspace(ky, kx, coil, slice)"
        )
    return names[0]


def _check(data: h5py.Dataset, source: str) -> None:
    """Raise FormatError for anything but complex numbers along two to four axes."""
    is_complex = data.dtype.names == _COMPLEX or data.dtype.kind == "c"
    if not 2 <= data.ndim <= 4 or not is_complex:
        raise FormatError(
            f"{source}: got MATLAB k-space of shape {(data.shape or ())[::-1]} and type {data.dtype}, expected complex "
            "(ky, kx[, coil[, slice]]); average or choose along further axes (averages, echoes, times), join "
            "real and imaginary part: complex(re, im)"
        )


def _complex(stored: np.ndarray) -> np.ndarray:
    """(real, imag) -> complex64."""
    if stored.dtype.names is None:
        return stored.astype(np.complex64)
    joined = np.empty(stored.shape, np.complex64)
    joined.real, joined.imag = stored["real"], stored["imag"]
    return joined


def _numbers(file: h5py.File, name: str, source: str) -> np.ndarray | None:
    """The variable of real numbers, as MATLAB shows it; None where there is none."""
    if name not in file:
        return None
    item = dataset(file, name, source)
    if item.dtype.kind not in "buif" or item.shape is None:
        raise FormatError(f"{source}: got {name} of type {item.dtype}, expected numbers")
    return np.asarray(item[()]).T


def _scan(
    stored: np.ndarray, mask: np.ndarray | None, pixel: np.ndarray | None, pixel_mm: float | None, source: str
) -> Scan:
    """The scan of k-space with its axes as HDF5 lists them, ([slice, [coil,]] kx, ky)."""
    remarks = ()
    if stored.ndim == 3:
        remarks = ("three axes: taken for the coils of one slice (ky, kx, coil)",)
    kspace = stored.reshape((1,) * (4 - stored.ndim) + stored.shape).swapaxes(-1, -2)
    if pixel is not None and pixel.size != 1:
        raise FormatError(f"{source}: got {pixel.size} values of pixel_mm, expected one")
    return kspace_scan(
        np.ascontiguousarray(kspace),
        mask=None if mask is None else mask != 0,
        stated_mm=None if pixel is None else float(pixel.reshape(())),
        pixel_mm=pixel_mm,
        source=source,
        remarks=remarks,
    )
