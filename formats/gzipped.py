"""Files that may be gzipped: DICOM and NIfTI, whatever their names end with."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any


def is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def unpacked(path: Path) -> Any:
    """The file, open, unpacked while it is read."""
    return gzip.open(path) if is_gzip(path) else path.open("rb")


def beginning(path: Path, count: int) -> bytes:
    """The first bytes, unpacked; none of a file that cannot be read, or not be unpacked."""
    try:
        with unpacked(path) as file:
            return file.read(count)
    except (OSError, EOFError, zlib.error):
        return b""
