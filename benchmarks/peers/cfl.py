"""BART's array files: `name.hdr`, text with the sizes of the axes, and `name.cfl`, complex64, first axis fastest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

AXES = 16  # that BART 0.8 writes: read, phase 1, phase 2, coils, maps, ...


def write_cfl(path: Path, array: NDArray) -> None:
    """An array of at most 16 axes as path.hdr and path.cfl. Raises ValueError for more axes."""
    if array.ndim > AXES:
        raise ValueError(f"{path}: got {array.ndim} axes, BART has {AXES}")
    sizes = [*array.shape, *[1] * (AXES - array.ndim)]
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, sizes)) + "\n")
    array.astype(np.complex64).ravel(order="F").tofile(path.with_suffix(".cfl"))


def read_cfl(path: Path) -> NDArray[np.complex64]:
    """The array of path.hdr and path.cfl, without the axes of one element at its end. Raises ValueError where the two
    do not fit."""
    lines = path.with_suffix(".hdr").read_text().splitlines()
    sizes = [int(word) for word in lines[lines.index("# Dimensions") + 1].split()]
    while len(sizes) > 1 and sizes[-1] == 1:
        sizes.pop()
    values = np.fromfile(path.with_suffix(".cfl"), np.complex64)
    if values.size != np.prod(sizes):
        raise ValueError(f"{path}: the header says {sizes}, but the file holds {values.size} numbers")
    return values.reshape(sizes, order="F")
