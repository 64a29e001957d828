"""MATLAB files of k-space: the variable kspace(ky, kx[, coil[, slice]]), complex; mask(ky, kx) and pixel_mm, optional.

MATLAB counts its first axis fastest. Version 7.3 is HDF5, which lists the axes the other way round and keeps complex
numbers as (real, imag); older versions are read by scipy. MATLAB drops last axes of one element, so that three axes are
the coils of one slice.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .hdf5 import dataset, open_hdf5, take
from .kspace import kspace_scan
from .reader import Reader, Slices, choose
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
        _check(data.shape[::-1], data.dtype.names == _COMPLEX or data.dtype.kind == "c", source)
        index = choose(len(data) if data.ndim == 4 else 1, slices, source)
        stored = take(data, index) if data.ndim == 4 else data[()]
        return _scan(_complex(stored), lambda name: _extra(file.get(name)), pixel_mm, source)


def describe_matlab(path: Path) -> dict[str, Any]:
    """The shape of k-space as MATLAB shows it; no k-space is read."""
    with open_hdf5(path) as file:
        data = dataset(file, _one(_variables(file), path.name), path.name)
        return {
            "kind": "mri",
            "version": "7.3",
            "kspace": data.shape[::-1],
            "axes": "ky, kx, coil, slice",
            "type": str(data.dtype),
        }


def _read_old(path: str | Path, slices: Slices = None, pixel_mm: float | None = None) -> Scan:
    """Read k-space of MATLAB 5 to 7. Raises FormatError as `read_matlab`, or where scipy cannot read it."""
    from scipy.io import loadmat

    path = Path(path)
    shapes = _shapes(path)
    name = _one(list(shapes), path.name)
    _check(shapes[name], True, path.name)
    with _Scipy(path.name):
        held = loadmat(path, variable_names=[name, "mask", "pixel_mm"])
    _check(held[name].shape, held[name].dtype.kind == "c", path.name)
    stored = held[name].T
    index = choose(len(stored) if stored.ndim == 4 else 1, slices, path.name)
    stored = stored[index] if stored.ndim == 4 else stored
    return _scan(stored, lambda key: held[key].T if key in held else None, pixel_mm, path.name)


def _describe_old(path: Path) -> dict[str, Any]:
    shapes = _shapes(path)
    return {
        "kind": "mri",
        "version": "5 to 7",
        "kspace": shapes[_one(list(shapes), path.name)],
        "axes": "ky, kx, coil, slice",
    }


OLD_READER = Reader("matlab", _read_old, _describe_old, ("pixel_mm",))


class _Scipy:
    """scipy.io raises whatever its parser meets in a damaged file: here a FormatError."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            raise FormatError(
                f"{self.source}: the MATLAB file cannot be read ({type(error).__name__}: {error}); it is truncated or "
                "damaged: save it again"
            ) from error


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """{variable: shape} of the k-space in an old file, from its headers."""
    from scipy.io import whosmat

    with _Scipy(path.name):
        return {name: tuple(shape) for name, shape, _ in whosmat(path) if name.lower().startswith(_KSPACE)}


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


def _check(shape: tuple[int, ...], is_complex: bool, source: str) -> None:
    """Of k-space as MATLAB shows it."""
    if not 2 <= len(shape) <= 4 or not is_complex:
        raise FormatError(
            f"{source}: got MATLAB k-space of shape {shape}, {'complex' if is_complex else 'real'}, expected complex "
            "(ky, kx[, coil[, slice]]); average or choose along further axes (averages, echoes, times), join real and "
            "imaginary part: complex(re, im)"
        )


def _complex(stored: np.ndarray) -> np.ndarray:
    """(real, imag) -> complex64."""
    if stored.dtype.names is None:
        return stored.astype(np.complex64)
    joined = np.empty(stored.shape, np.complex64)
    joined.real, joined.imag = stored["real"], stored["imag"]
    return joined


def _extra(item: Any) -> np.ndarray | None:
    return item[()] if isinstance(item, h5py.Dataset) else None


def _scan(
    stored: np.ndarray, extra: Callable[[str], np.ndarray | None], pixel_mm: float | None, source: str
) -> Scan:
    """The scan of k-space with its axes as HDF5 lists them, ([slice, [coil,]] kx, ky)."""
    remarks = ()
    if stored.ndim == 3:
        remarks = ("three axes: taken for the coils of one slice (ky, kx, coil)",)
    kspace = stored.reshape((1,) * (4 - stored.ndim) + stored.shape).swapaxes(-1, -2)
    mask, pixel = extra("mask"), extra("pixel_mm")
    return kspace_scan(
        np.ascontiguousarray(kspace),
        mask=None if mask is None else mask.T != 0,
        stated_mm=None if pixel is None or pixel.size != 1 else float(pixel.reshape(())),
        pixel_mm=pixel_mm,
        source=source,
        remarks=remarks,
    )
