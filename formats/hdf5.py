"""What every HDF5 layout needs: opening with one clear error, text out of attributes, whole slices at a
time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from .scan import FormatError


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Open for reading. A truncated file, on opening or later when its data are read, is a FormatError."""
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise _unreadable(path, error) from error


class OpenOnce:
    """A file that is opened for reading at the first use and stays open, once a process: a copy that was pickled
    (spawn) or forked opens the file anew."""

    def __init__(self, path: Path) -> None:
        self.path, self._file, self._process = path, None, 0

    def rows(self, name: str, index: np.ndarray) -> np.ndarray:
        """`take` of the dataset `name`. Raises FormatError for a file that cannot be read."""
        try:
            if self._file is None or self._process != os.getpid():
                self._file, self._process = h5py.File(self.path, "r"), os.getpid()
            return take(dataset(self._file, name, self.path.name), index)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return OpenOnce, (self.path,)


def _unreadable(path: Path, error: OSError) -> FormatError:
    return FormatError(
        f"{path.name}: the HDF5 file cannot be read ({str(error).splitlines()[0]}); it is truncated or "
        "damaged: copy it again from where it came from"
    )


def text(value: Any) -> str:
    """An attribute or a scalar string dataset as str."""
    if isinstance(value, h5py.Dataset):
        value = value[()]
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def datasets(file: h5py.Group) -> dict[str, h5py.Dataset]:
    """Every dataset of the file by its full name."""
    found: dict[str, h5py.Dataset] = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def dataset(file: h5py.Group, name: str, source: str) -> h5py.Dataset:
    """The dataset `name`. Raises FormatError where it is missing."""
    item = file.get(name)
    if not isinstance(item, h5py.Dataset):
        raise FormatError(
            f"{source}: got no dataset {name!r}, only {', '.join(datasets(file)) or 'none'}; see "
            "docs/formats.md for the layout"
        )
    return item


class Attributed(Protocol):
    """Anything with attributes: an HDF5 group, or what stands in for one."""

    @property
    def attrs(self) -> Mapping[str, Any]: ...


def number(file: Attributed, name: str, source: str, default: float | None = None) -> float:
    """The attribute `name` as a number. Raises FormatError where it is missing (and has no default) or no
    number."""
    value = file.attrs.get(name, default)
    if value is None:
        raise FormatError(f"{source}: got no attribute {name!r}; add it (docs/formats.md)")
    try:
        return float(np.asarray(value).reshape(()))
    except (ValueError, TypeError) as error:
        raise FormatError(f"{source}: got {name} = {value!r}, expected one number") from error


def numbers(file: h5py.Group, name: str, source: str, count: int) -> list[float]:
    """The attribute `name` as `count` numbers. Raises FormatError where it is missing or otherwise."""
    try:
        values = [float(value) for value in np.ravel(np.asarray(file.attrs[name]))]
    except (KeyError, ValueError, TypeError) as error:
        raise FormatError(
            f"{source}: got no attribute {name!r} of {count} numbers; add it (docs/formats.md)"
        ) from error
    if len(values) != count:
        raise FormatError(f"{source}: got {name} = {values}, expected {count} numbers")
    return values


def take(data: h5py.Dataset, index: np.ndarray) -> np.ndarray:
    """`data[index]` along the first axis, reading no more than that; any order, repetitions allowed."""
    if len(index) == len(data) and np.array_equal(index, np.arange(len(data))):
        return data[()]
    unique, inverse = np.unique(index, return_inverse=True)
    return data[unique][inverse] if len(unique) else data[:0]
