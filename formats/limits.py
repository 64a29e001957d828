"""What a caller allows reading to do, for the time of a `with`: how much memory it may take, and whether an HDF5 file
may refer to files beside it. What is said nowhere is three quarters of the memory that the machine has free, and no
other files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from .scan import FormatError

_SHARE = 0.75  # of the free memory: the reconstruction needs some too
_UNKNOWN = 8 << 30  # where the machine does not say
_MEMORY: ContextVar[int | None] = ContextVar("memory", default=None)
_EXTERNAL: ContextVar[bool] = ContextVar("external", default=False)


@contextmanager
def allowing(max_memory: float | None = None, allow_external: bool | None = None) -> Iterator[None]:
    """Set the limits; None leaves what an outer `allowing` said. `max_memory` in GB (10^9 bytes).

    Raises:
        FormatError: a memory that is no positive number.
    """
    if max_memory is not None and not (math.isfinite(max_memory) and max_memory > 0):
        raise FormatError(f"got max_memory {max_memory}, expected a positive number of GB")
    kept = memory() if max_memory is None else int(max_memory * 1e9)
    tokens = _MEMORY.set(kept), _EXTERNAL.set(_EXTERNAL.get() if allow_external is None else allow_external)
    try:
        yield
    finally:
        _MEMORY.reset(tokens[0])
        _EXTERNAL.reset(tokens[1])


def memory() -> int:
    """Bytes that reading may take."""
    return said if (said := _MEMORY.get()) is not None else int(_SHARE * _available())


def external() -> bool:
    """Whether an HDF5 file may refer to files in its own folder."""
    return _EXTERNAL.get()


def check_size(size: float, source: str, what: str) -> None:
    """Raise FormatError where `what` takes more bytes than reading may. To be called before they are allocated."""
    if size > memory():
        raise FormatError(f"{source}: {what} would take {size / 1e9:.3g} GB, {too_much()}")


def too_much() -> str:
    """The rest of a refusal for want of memory."""
    return (
        f"more than the {memory() / 1e9:.3g} GB that reading may take; choose slices or allow more (--max-memory), or "
        "the file is damaged"
    )


def _available() -> int:
    """Free memory [bytes], of the machine and of the container."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text("ascii").splitlines())
        found.append(1024 * int(lines["MemAvailable"].split()[0]))
    for folder, most, used in (
        ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            limit, current = (int((Path(folder) / name).read_text("ascii")) for name in (most, used))
            found.append(max(limit - current, 0))
    if not found:
        with suppress(OSError, ValueError, AttributeError):
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=_UNKNOWN)
