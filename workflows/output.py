"""An output folder or file is written whole or not at all, by one process at a time, and refused before the work.

A run that writes the folder NAME works in .NAME.unfinished beside it, whose `result` takes the place of NAME when all
is written:

    .NAME.unfinished/run.json   what the result is a function of, of a run that can go on where it was stopped
    .NAME.unfinished/done/      what such a run has done so far
    .NAME.unfinished/result/    the folder that is to be NAME
    .NAME.lock                  held (flock) by the process that works on NAME, which it names; a kill gives it back
    .NAME.old                   the older NAME, between two renames: a start that finds it without NAME puts it back
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from . import locks
from .progress import Progress, told
from .signals import terminable

OURS = {
    "reconstruction.h5",
    "reconstruction.nii.gz",
    "dicom",
    "report.png",
    "audit.png",
    "intervals.png",
    "report.html",
    "report.json",
    "run.toml",
}
WORK = {"run.json", "done", "result"}


def check_output(folder: Path, overwrite: bool, ours: set[str] = OURS) -> None:
    """Refuse, before any work, an output folder that cannot be written, or one with anything but `ours` in it.

    Raises FileExistsError, NotADirectoryError, FileNotFoundError, PermissionError, ValueError.
    """
    if Path.cwd().is_relative_to(folder.resolve()):
        raise ValueError(f"{folder} is the folder you work in, or one above it; name a new folder in it")
    if folder.is_symlink() or os.path.ismount(folder):
        what = "symbolic link" if folder.is_symlink() else "mount point"
        raise FileExistsError(f"{folder} is a {what}, which results cannot replace; name a folder in it")
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
    _check_place(folder)


def check_file(path: Path, overwrite: bool, *sources: Path) -> None:
    """Refuse, before any work, an output file that cannot be written, and one that is a source of the run.

    Raises FileExistsError, FileNotFoundError, PermissionError.
    """
    if path.is_dir():
        raise FileExistsError(f"{path} exists and is a folder; choose another name")
    if path.is_symlink():
        raise FileExistsError(f"{path} is a symbolic link; name the file itself")
    if path.exists() and any(source.exists() and path.samefile(source) for source in sources):
        raise FileExistsError(f"{path} is the input, which would be lost; choose another name")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another name or add --overwrite")
    _check_place(path)


def _check_place(path: Path) -> None:
    """Whether something of this name can be made, by making it: permissions alone do not tell (a read-only mount, a
    quota, a name too long)."""
    place = path.absolute()
    if not place.parent.exists():
        raise FileNotFoundError(f"{path}: its parent folder does not exist; create it first")
    if not place.parent.is_dir():
        raise NotADirectoryError(f"{path}: {place.parent} is a file, expected a folder; choose another name")
    try:
        tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent).cleanup()
    except OSError as error:
        raise PermissionError(
            f"{path}: cannot be written there ({error.strerror}); choose another place"
        ) from None


@contextmanager
def whole_folder(
    folder: Path,
    overwrite: bool,
    ours: set[str] = OURS,
    run: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Iterator[Path]:
    """A temporary folder that becomes `folder` when the block ends well; an older one is replaced only then.

    Args:
        run: what the result is a function of (JSON-able), for a block that keeps what it has done in
            `done_so_far(temporary)`: stopped by anything, it finds that again when it is run again. Another run's is
            refused, or with `overwrite` deleted. None: a block that begins anew each time.

    Raises:
        FileExistsError: as `check_output`; another process writes the folder; or it waits for another run.
    """
    check_output(folder, overwrite, ours)
    place = folder.absolute()
    work = place.with_name(f".{place.name}.unfinished")
    with _alone(place), terminable():
        _restore(place)
        check_output(folder, overwrite, ours)  # again: now nobody else writes it
        _begin(work, overwrite, run)
        try:
            yield work / "result"
            _replace(place, work / "result")
        except BaseException:
            _leave(work, folder, progress)
            raise
        shutil.rmtree(work, ignore_errors=True)


def done_so_far(temporary: Path) -> Path:
    """Where a run that `whole_folder` knows by its `run` keeps what it has done."""
    return temporary.with_name("done")


def _begin(work: Path, overwrite: bool, run: dict[str, Any] | None) -> None:
    """The folders of a run; with what it did before where it is the same, and empty otherwise."""
    if work.exists() and (foreign := sorted({item.name for item in work.iterdir()} - WORK)):
        raise FileExistsError(
            f"{work} holds {foreign[0]!r}, which scanprior did not write; move it away, or choose another output"
        )
    before, now = _begun(work), json.loads(json.dumps(run))  # as it is when it comes back from a file
    if before is not None and before != now and not overwrite:
        differ = sorted(key for key in before if now is not None and before[key] != now.get(key))
        raise FileExistsError(
            f"{work} holds what another command has done so far ({', '.join(differ) or 'another verb'} differ); repeat "
            "that one to go on with it, choose another output, or add --overwrite to begin anew"
        )
    if before is None or before != now:
        shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(work / "result", ignore_errors=True)
    for name in ("done", "result"):
        (work / name).mkdir(parents=True, exist_ok=True)
    if run is not None:
        from ..formats.write import atomic

        with atomic(work / "run.json") as temporary:
            temporary.write_text(json.dumps(run))


def _begun(work: Path) -> dict[str, Any] | None:
    """What the run that was stopped here is known by; None where there is none that can go on."""
    try:
        return json.loads((work / "run.json").read_text())
    except (OSError, ValueError):
        return None


def _leave(work: Path, folder: Path, progress: Progress | None) -> None:
    """After a stop: what was done stays, and is spoken of; nothing stays where nothing was done."""
    if (work / "done").is_dir() and any((work / "done").iterdir()):
        shutil.rmtree(work / "result", ignore_errors=True)
        place = folder.with_name(work.name)
        told(progress).say(f"what was done so far is kept in {place}; the same command goes on from there")
    else:
        shutil.rmtree(work, ignore_errors=True)


def _old(place: Path) -> Path:
    return place.with_name(f".{place.name}.old")


def _replace(place: Path, result: Path) -> None:
    """Put a result in its place. The older one is deleted only when the new one stands."""
    if place.exists():
        place.rename(_old(place))
    result.rename(place)
    shutil.rmtree(_old(place), ignore_errors=True)


def _restore(place: Path) -> None:
    """Undo, or end, a replacement that was cut off by a kill."""
    if _old(place).exists() and not place.exists():
        _old(place).rename(place)
    shutil.rmtree(_old(place), ignore_errors=True)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Keep other processes away from `place`. The kernel takes the lock from a process that ends in whatever way, so
    that none is ever left over; the file itself may be. Raises FileExistsError where another process is at work."""
    path = place.with_name(f".{place.name}.lock")
    while True:
        file = path.open("a+")
        if not locks.take(file.fileno()):
            file.seek(0)
            who = file.read().strip()
            file.close()
            raise FileExistsError(
                f"{place.name}: another run ({who}) writes this folder; wait for its end, or choose another"
            )
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                break
        file.close()  # its last owner has just deleted it
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()
