"""An output folder is written whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OURS = {"reconstruction.h5", "dicom", "report.png", "report.html", "report.json"}


def check_output(folder: Path, overwrite: bool, ours: set[str] = OURS) -> None:
    """Refuse, before any work, an output folder that cannot be written, or one with anything but `ours` in it.

    Raises FileExistsError, NotADirectoryError, FileNotFoundError.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(
            f"{folder} is a file, expected a folder for the results; choose another name"
        )
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise FileExistsError(f"{folder} exists and is not empty; choose another folder or add --overwrite")
    if folder.is_dir() and (foreign := sorted({item.name for item in folder.iterdir()} - ours)):
        raise FileExistsError(
            f"{folder} holds {foreign[0]!r}, which scanprior did not write and --overwrite would delete; choose "
            "another folder"
        )
    if not folder.absolute().parent.is_dir():
        raise FileNotFoundError(f"{folder}: its parent folder does not exist; create it first")


@contextmanager
def whole_folder(folder: Path, overwrite: bool, ours: set[str] = OURS) -> Iterator[Path]:
    """A temporary folder that becomes `folder` when the block ends well; an older one is replaced only then."""
    check_output(folder, overwrite, ours)
    temporary = folder.absolute().with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
