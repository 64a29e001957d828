"""What a format's reader is, and what all readers share: the choice of slices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .scan import FormatError, Scan, Volume

Slices = slice | list[int] | None
IN_COLOUR = (
    "holds pictures in colour, expected a scan or its images; they are for `train`, `likelihood`, `evaluate`"
)


@dataclass(frozen=True)
class Reader:
    """A format's name, how it is read and described, and the options of `read` it understands besides `slices`."""

    name: str
    read: Callable[..., Scan | Volume]
    describe: Callable[[Path], dict[str, Any]]
    options: tuple[str, ...] = ()


def choose(count: int, slices: Slices, source: str) -> np.ndarray:
    """Indices of the chosen slices. Raises FormatError for an index outside or an empty choice."""
    if slices is None:
        return np.arange(count)
    if isinstance(slices, slice):
        index = np.arange(count)[slices]
    else:
        index = np.asarray(slices, dtype=int)
        if index.size and (index.min() < -count or index.max() >= count):
            raise FormatError(f"{source}: got slices {list(slices)}, expected 0 to {count - 1}")
        index = index % max(count, 1)
    if not index.size:
        raise FormatError(
            f"{source}: got slices {slices}, which choose none of the {count}; expected 0 to {count - 1}"
        )
    return index
