"""Writing files: all or nothing. Every writer writes beside its target under a temporary name and renames at
the end, when the file is on the disk: neither a kill nor a power cut leaves half of one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .scan import FormatError


@contextmanager
def atomic(path: str | Path, *, directory: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well, remove it when it
    raises.

    A file replaces an older one of the same name. A directory (created here, `directory=True`) replaces only
    an empty one, so that nobody's results disappear. The temporary file keeps the ending of the name, since
    writers look at it.

    Raises:
        FormatError: the parent folder does not exist, or the target is a directory that is not empty.
        OSError: a full disk, say; with the name of the target, whatever the writer made of it.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FormatError(f"{target}: the folder {target.parent} does not exist; create it first")
    if target.is_dir() and (not directory or any(target.iterdir())):
        raise FormatError(f"{target}: is a folder that is not empty; choose another name or remove it")
    if directory and target.exists() and not target.is_dir():
        raise FormatError(f"{target}: is a file, expected a folder or nothing; choose another name")
    try:
        holder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise _of(target, error) from error
    temporary = holder / target.name
    try:
        if directory:
            temporary.mkdir()
        yield temporary
        if not directory:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.filename is not None and holder not in Path(str(error.filename)).parents:
            raise  # of another file, which the block reads
        raise _of(target, error) from error
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _of(target: Path, error: OSError) -> OSError:
    """The error with the name that its reader knows."""
    return OSError(error.errno or 0, f"cannot be written ({error.strerror or error})", str(target))
