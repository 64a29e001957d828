"""A NumPy array, `scan.npy`, and beside it what it means, `scan.json` or `scan.toml`: the simple HDF5 layouts
(`simple`) in two files.

A complex array is k-space, a real one a sinogram. The sidecar has the attributes of the layout; `angles_deg` and `mask`
are lists in it, or name another .npy file in the same folder. Nothing is unpickled.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from .reader import Reader, Slices
from .scan import FormatError, Scan
from .shown import attributes
from .simple import ATTRIBUTES, kspace_of, sinogram_of

_ARRAYS = ("angles_deg", "mask")


@dataclass(frozen=True)
class _Sidecar:
    """What stands beside the array, as the attributes of an HDF5 file would."""

    attrs: dict[str, Any]
    folder: Path
    name: str

    def array(self, name: str) -> np.ndarray | None:
        """The numbers of that name, None where there are none."""
        value = self.attrs.get(name)
        if isinstance(value, str):
            if value != Path(value).name or not (self.folder / value).is_file():
                raise FormatError(f"{self.name}: got {name} = {value!r}, expected a .npy file beside it")
            return np.asarray(_load(self.folder / value))
        if value is None:
            return None
        try:
            return np.asarray(value, dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise FormatError(f"{self.name}: got {name} that is no list of numbers ({error})") from error


def read_npy(
    path: str | Path,
    slices: Slices = None,
    angle_sign: int | None = None,
    pixel_mm: float | None = None,
) -> Scan:
    """Read an array and its sidecar. Raises FormatError as the simple layouts do; for a sinogram without a sidecar, and
    for arrays of objects."""
    path = Path(path)
    data, beside = _load(path), _sidecar(path)
    mask = beside.array("mask")
    mask = None if mask is None else mask != 0
    if data.dtype.kind == "c":
        return kspace_of(beside, data, mask, path.name, slices, pixel_mm)
    angles = beside.array("angles_deg")
    if angles is None:
        raise FormatError(
            f"{path.name}: got a real array without angles, expected a sinogram and beside it {path.stem}.json with "
            "angles_deg, geometry, detector_pixel_mm ... (docs/formats.md), or complex k-space"
        )
    return sinogram_of(beside, data, angles, mask, path.name, slices, angle_sign)


def describe_npy(path: Path) -> dict[str, Any]:
    """The array's shape and what the sidecar says; no numbers are read."""
    data, beside = _load(path), _sidecar(path)
    return {
        "kind": "mri" if data.dtype.kind == "c" else "ct",
        "shape": data.shape,
        "type": str(data.dtype),
        **attributes({key: value for key, value in beside.attrs.items() if key not in _ARRAYS}),
    }


def _load(path: Path) -> np.ndarray:
    """The array, on disk until it is used. Raises FormatError for one that is truncated or not of numbers."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, TypeError, OverflowError, TokenError) as error:
        raise FormatError(
            f"{path.name}: the .npy file cannot be read ({' '.join(str(error).split())[:120]}); it is truncated, "
            "damaged, or holds no plain numbers: save it again with np.save"
        ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buifc":
        raise FormatError(f"{path.name}: got an array of type {array.dtype}, expected numbers")
    return array


def _sidecar(path: Path) -> _Sidecar:
    """The sidecar of `path`; empty where there is none."""
    for parse, beside in (
        (json.loads, path.with_suffix(".json")),
        (tomllib.loads, path.with_suffix(".toml")),
    ):
        if beside.is_file():
            try:
                attrs = parse(beside.read_text("utf-8"))
            except (ValueError, RecursionError) as error:
                raise FormatError(
                    f"{beside.name}: is no {beside.suffix[1:].upper()} ({error}); repair it"
                ) from error
            if not isinstance(attrs, dict):
                raise FormatError(f"{beside.name}: got a {type(attrs).__name__}, expected names and values")
            if unknown := sorted(set(attrs) - ATTRIBUTES - {*_ARRAYS}):
                raise FormatError(
                    f"{beside.name}: got {', '.join(unknown)[:200]}, expected some of {', '.join(sorted(ATTRIBUTES))}, "
                    f"{', '.join(_ARRAYS)} (docs/formats.md)"
                )
            return _Sidecar(attrs, path.parent, beside.name)
    return _Sidecar({}, path.parent, path.name)


READER = Reader("npy", read_npy, describe_npy, ("angle_sign", "pixel_mm"))
