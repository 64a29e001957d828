"""What every HDF5 layout needs: opening with one clear error and without other files, text out of attributes, whole
slices at a time.

The HDF5 library crashes or freezes on some damaged files, so all of this runs in a process of its own
(`formats/isolated.py`), but for the rows of image sets, which were looked over when the set was opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from . import limits
from .isolated import guarded
from .scan import FormatError

_DEFLATE = 1100  # the filters below make data smaller by no more (deflate: 1032)
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Open for reading. A truncated file, on opening or later when its data are read, is a FormatError; so is one that
    refers to other files, unless `limits.external` allows those beside it."""
    path = Path(path)
    with _readable(path), h5py.File(path, "r") as file:
        _check_references(file, path)
        yield file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What h5py raises of a damaged file as FormatError."""
    with guarded(path):
        try:
            yield
        except OSError as error:
            raise FormatError(
                f"{path.name}: the HDF5 file cannot be read ({str(error).splitlines()[0]}); it is truncated or "
                "damaged: copy it again from where it came from"
            ) from error


def _check_references(file: h5py.File, path: Path, seen: frozenset[Path] = frozenset()) -> None:
    """Raise FormatError for external links, external storage and virtual datasets of files that may not be read, and
    for virtual datasets that lack a part: the library would give fill values."""
    links, data = _linked(file)
    others = {_beside(path, f"the link {name!r}", target) for name, target in links.items()}
    for name, item in data.items():
        words = f"the dataset {name!r}"
        others |= {_beside(path, words, text(part[0])) for part in item.external or ()}
        mapped = 0
        for part in item.virtual_sources() if item.is_virtual else ():
            mapped += part.vspace.get_select_npoints()
            other = path if part.file_name == "." else _beside(path, words, part.file_name)
            others.add(other)
            with h5py.File(other, "r") as opened:
                if not _holds(opened.get(part.dset_name), part):
                    raise FormatError(
                        f"{path.name}: {words} is put together from {part.dset_name!r} of {other.name}, where there is "
                        "no such dataset of that size; copy the data into one file"
                    )
        if item.is_virtual and mapped < (item.size or 0):
            raise FormatError(
                f"{path.name}: {words} is put together from others, which give {mapped} of its {item.size} numbers; "
                "write it whole"
            )
    for other in others - seen - {path}:
        if h5py.is_hdf5(other):
            with h5py.File(other, "r") as opened:
                _check_references(opened, other, seen | others | {path})


def _holds(source: Any, part: Any) -> bool:
    """Whether a dataset has what a part of a virtual one takes from it."""
    if not isinstance(source, h5py.Dataset):
        return False
    space = part.src_space
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return source.size == part.vspace.get_select_npoints()
    last = space.get_select_bounds()[1]
    return len(last) == source.ndim and all(i < n for i, n in zip(last, source.shape, strict=True))


def _beside(path: Path, words: str, target: str) -> Path:
    """The file that is referred to. Raises FormatError where it may not be read."""
    if not limits.external():
        raise FormatError(
            f"{path.name}: {words} refers to another file, which is not read; copy the data into one file, or allow "
            "files of the same folder with --allow-external"
        )
    other = (path.parent / target).resolve()
    if other.parent != path.parent.resolve() or not other.is_file():
        raise FormatError(
            f"{path.name}: {words} refers to a file that is not in the same folder; copy it there or leave it out"
        )
    return other


def _linked(file: h5py.File) -> tuple[dict[str, str], dict[str, h5py.Dataset]]:
    """External links with their files, and every dataset, by name."""
    links: dict[str, str] = {}
    data: dict[str, h5py.Dataset] = {}

    def look(raw: bytes) -> None:
        name = text(raw)
        link = file.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            links[name] = link.filename
        elif isinstance(link, h5py.HardLink) and isinstance(item := file[name], h5py.Dataset):
            data[name] = item

    file.id.links.visit(look)
    return links, data


class OpenOnce:
    """A file that is opened for reading at the first use and stays open, once a process: a copy that was pickled
    (spawn) or forked opens the file anew. To be looked over (`check_chunks`) before."""

    def __init__(self, path: Path) -> None:
        self.path, self._file, self._process = path, None, 0

    def rows(self, name: str, index: np.ndarray) -> np.ndarray:
        """`take` of the dataset `name`. Raises FormatError for a file that cannot be read."""
        with _readable(self.path):
            if self._file is None or self._process != os.getpid():
                self._file, self._process = h5py.File(self.path, "r"), os.getpid()
            return take(dataset(self._file, name, self.path.name), index)

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return OpenOnce, (self.path,)


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
    stored, plan = item.id.get_storage_size(), item.id.get_create_plist()
    plain = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())} <= _FILTERS
    if plain and not item.is_virtual and item.nbytes > _DEFLATE * stored + (1 << 20):
        raise FormatError(
            f"{source}: {name} claims {item.nbytes / 1e9:.3g} GB, but {stored / 1e6:.3g} MB of it were written; the "
            "file is damaged or was not finished: write or copy it again"
        )
    return item


def check_chunks(data: h5py.Dataset) -> None:
    """Go through the index of the chunks, where a damaged file crashes the library, without reading them. Raises what
    h5py raises."""
    if data.chunks is not None:
        data.id.chunk_iter(lambda _: None)


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


def take(data: h5py.Dataset | np.ndarray, index: np.ndarray) -> np.ndarray:
    """`data[index]` along the first axis, reading no more than that; any order, repetitions allowed. Raises FormatError
    where what lies on the disk takes more than memory."""
    size = len(np.unique(index)) * data.nbytes / max(len(data), 1)
    if isinstance(data, h5py.Dataset):
        limits.check_size(size, Path(data.file.filename).name, str(data.name))
    elif isinstance(data, np.memmap):
        limits.check_size(size, Path(str(data.filename)).name, "the array")
    if len(index) == len(data) and np.array_equal(index, np.arange(len(data))):
        return data[()]
    unique, inverse = np.unique(index, return_inverse=True)
    return data[unique][inverse] if len(unique) else data[:0]


def whole(data: h5py.Dataset | np.ndarray) -> np.ndarray:
    """`take` of all."""
    return take(data, np.arange(len(data))) if data.ndim else data[()]
