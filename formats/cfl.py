"""BART's k-space (https://mrirecon.github.io/bart): `name.hdr`, text with the sizes of the axes, and `name.cfl`,
complex64, first axis fastest.

The axes are READ, PHS1, PHS2, COIL, MAPS, TE, ..., TIME, ..., SLICE, AVG. Two-dimensional k-space varies along two of
the first three: the earlier one becomes the columns, the later one the rows. Three-dimensional k-space is transformed
along READ, whose positions become the slices of (PHS1, PHS2). BART's files do not say whether they hold k-space, images
or maps, nor how large a pixel is.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from . import limits
from .kspace import kspace_scan, mean_of_averages, to_image
from .reader import Slices, choose, one_of
from .scan import FormatError, Scan

MARK = b"# Dimensions"
_READ, _PHS1, _PHS2, _COIL, _TE, _TIME, _SLICE, _AVG = 0, 1, 2, 3, 5, 10, 13, 14
_NAMES = (
    "READ", "PHS1", "PHS2", "COIL", "MAPS", "TE", "COEFF", "COEFF2", "ITER", "CSHIFT", "TIME", "TIME2", "LEVEL",
    "SLICE", "AVG", "BATCH",
)  # fmt: skip


def is_cfl(path: Path) -> bool:
    """Whether `path` is one of the two files of an array, or what their names begin with."""
    header = pair(path)[0]
    if not header.is_file():
        return False
    with header.open("rb") as file:
        return file.read(4096).lstrip().startswith(MARK)


def read_cfl(
    path: str | Path,
    slices: Slices = None,
    echo: int | None = None,
    time: int | None = None,
    pixel_mm: float | None = None,
) -> Scan:
    """Read Cartesian k-space; the mean over averages.

    Args:
        path: either file, or their common name without its end.
        echo, time: of several (TE, TIME).
        pixel_mm: the side of a pixel; 1 by default.

    Raises:
        FormatError: a header that does not fit its data, or axes that are no Cartesian k-space.
    """
    header, data = pair(Path(path))
    sizes = _sizes(header, data)
    source = data.name
    spread = [axis for axis in (_READ, _PHS1, _PHS2) if sizes[axis] > 1]
    known = {*spread, _COIL, _TE, _TIME, _SLICE, _AVG}
    if other := [axis for axis, n in enumerate(sizes) if n > 1 and axis not in known]:
        raise FormatError(
            f"{source}: got {_words(sizes)}, expected k-space without {' and '.join(_NAMES[a] for a in other)}; choose "
            "one of them with `bart slice`"
        )
    if len(spread) < 2 or (len(spread) == 3 and sizes[_SLICE] > 1):
        raise FormatError(
            f"{source}: got {_words(sizes)}, expected k-space along two of READ, PHS1, PHS2, or three without SLICE"
        )
    picked = [slice(None)] * len(sizes)
    for axis, chosen, name, what in ((_TE, echo, "echo", "echoes"), (_TIME, time, "time", "times")):
        index = one_of(sizes[axis], chosen, name, source, what)
        picked[axis] = slice(index, index + 1)
    array = np.memmap(data, np.complex64, "r", shape=tuple(sizes), order="F")[tuple(picked)]
    if len(spread) == 3:
        limits.check_size(4.0 * array.nbytes, source, "the transform of 3-D k-space")
        kspace = _volume(array, slices, source)
    else:
        index = choose(sizes[_SLICE], slices, source)
        limits.check_size(array.nbytes / sizes[_SLICE] * len(index), source, "k-space")
        array = array.take(index, _SLICE)
        kspace = _ordered(array, (_AVG, _SLICE, _COIL, spread[1], spread[0]))
    remarks = [
        "a BART file does not say what it holds: taken for Cartesian k-space (not images, maps or spokes)"
    ]
    if sizes[_AVG] > 1:
        remarks.append(f"the mean of {sizes[_AVG]} averages")
    return kspace_scan(
        mean_of_averages(kspace),
        mask=None,
        stated_mm=None,
        pixel_mm=pixel_mm,
        source=source,
        remarks=tuple(remarks),
    )


def describe_cfl(path: Path) -> dict[str, Any]:
    """The sizes of the axes."""
    sizes = _sizes(*pair(path))
    return {
        "kind": "mri",
        "data": tuple(n for n in sizes if n > 1),
        "axes": ", ".join(name for name, n in zip(_NAMES, sizes, strict=True) if n > 1),
        "pixel_mm": "not stored",
    }


def _volume(array: np.ndarray, slices: Slices, source: str) -> np.ndarray:
    """Three-dimensional k-space -> (averages, slices along the readout, coils, PHS2, PHS1)."""
    kspace = _ordered(array, (_AVG, _COIL, _PHS2, _PHS1, _READ))
    sampled = (kspace != 0).any(axis=1)
    along, across = sampled.any(axis=(0, 1, 2)), sampled.any(axis=3)
    if not np.array_equal(sampled, across[..., None] & along):
        raise FormatError(
            f"{source}: got 3-D k-space whose readouts (READ) were not all sampled alike, expected the same samples in "
            "every readout; transform it to slices before (bart fft -i)"
        )
    images = np.moveaxis(to_image(kspace, (-1,)), -1, 1)
    return images[:, choose(images.shape[1], slices, source)]


def _ordered(array: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The array with these axes; the others have one element."""
    others = tuple(axis for axis in range(array.ndim) if axis not in axes)
    return np.squeeze(array.transpose(*axes, *others), tuple(range(len(axes), array.ndim)))


def pair(path: Path) -> tuple[Path, Path]:
    """(header, data) of either file, or of the name before the dot."""
    base = path.with_suffix("") if path.suffix in (".hdr", ".cfl") else path
    return Path(f"{base}.hdr"), Path(f"{base}.cfl")


def _sizes(header: Path, data: Path) -> list[int]:
    """The sizes of BART's axes, checked against the length of the data."""
    lines = header.read_bytes()[:4096].decode("ascii", "replace").splitlines()
    at = lines.index(MARK.decode()) + 1 if MARK.decode() in lines else len(lines)
    words = lines[at].split() if at < len(lines) else []
    if not words or not all(word.isdecimal() and 0 < int(word) < 2**40 for word in words):
        raise FormatError(
            f"{header.name}: got {' '.join(words)[:80] or 'no sizes'}, expected '# Dimensions' and the sizes of the "
            "axes below"
        )
    sizes = [int(word) for word in words] + [1] * (len(_NAMES) - len(words))
    if math.prod(sizes[len(_NAMES) :]) != 1:
        raise FormatError(f"{header.name}: got more than {len(_NAMES)} axes, expected BART's")
    sizes = sizes[: len(_NAMES)]
    if not data.is_file():
        raise FormatError(f"{header.name}: has no {data.name} beside it; copy both")
    if (got := data.stat().st_size) != (expected := 8 * math.prod(sizes)):
        raise FormatError(
            f"{data.name}: got {got} bytes, expected {expected} for {_words(sizes)} complex64; the file is truncated, "
            "or the header another one's"
        )
    return sizes


def _words(sizes: list[int]) -> str:
    return " x ".join(f"{name} {n}" for name, n in zip(_NAMES, sizes, strict=True) if n > 1) or "one number"
