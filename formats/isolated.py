"""A reader in a process of its own, with limits of time and memory: a damaged file may crash or freeze the library
that parses it, never us.

On Linux the process is forked (3 ms; whatever the parent had imported stays untouched), elsewhere it is
`python -m scanprior.formats.isolated`, which imports no torch. What it found comes back through a file in memory: the
arrays as their bytes, everything else as JSON. Nothing is unpickled: a process that has parsed a hostile file is not
trusted.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..errors import UsageError
from ..geometry import FanBeam, ParallelBeam
from . import limits
from .scan import FormatError, Scan, Volume

_CPU_SECONDS, _SECONDS = 4.0, 8.0  # of the processor and of the clock, for a small file
_BYTES_A_SECOND = 1e6  # of a large file; a slow disk and a strong compression together
_OVERHEAD = 256 << 20  # bytes of the libraries themselves
_CROSSING = {cls.__name__: cls for cls in (Scan, Volume, ParallelBeam, FanBeam)}
_NUMBERS = "biufcUS"  # kinds of numpy arrays that cross
_inside = False  # in the child


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """The door of the readers: whatever the parsing libraries raise leaves as FormatError, with the cause kept for
    SCANPRIOR_DEBUG."""
    try:
        yield
    except (FormatError, UsageError, MemoryError):
        raise
    except Exception as error:
        # Cython reports what was raised while it let a lock go as a SystemError about the lock
        reason = error.__cause__ if isinstance(error, SystemError) and error.__cause__ else error
        words = " ".join(str(reason).split())[:200]
        if isinstance(reason, OSError) and reason.strerror:
            words = reason.strerror
        elif not isinstance(reason, OSError | ValueError):
            words = f"{type(reason).__name__}: {words}"
        raise FormatError(
            f"{path.name}: cannot be read ({words or type(reason).__name__}); it is damaged or not what it seems: copy "
            "it again from where it came from"
        ) from error


def isolated(function: Callable[..., Any], path: Path, *arguments: Any) -> Any:
    """`function(path, *arguments)` in a process of its own; in one already, the call itself.

    Args:
        function: a module-level function of scanprior.
        path: of the file to be read; its size sets the limit of time.
        arguments, and what the function returns: JSON's types, tuples, slices, numpy, `Scan`, `Volume` and geometries.

    Raises:
        FormatError: as the function, or the process crashed, took too long or wanted too much memory.
    """
    if _inside:
        return function(path, *arguments)
    path = path.absolute()
    size = path.stat().st_size if path.exists() else 0
    cpu, wall = (seconds + size / _BYTES_A_SECOND for seconds in (_CPU_SECONDS, _SECONDS))
    with limits.allowing():  # fixed now: what is free changes while the child reads
        start = _forked if sys.platform == "linux" else _spawned
        code, buffer = start(function, path, arguments, cpu, wall)
        if code:
            raise FormatError(f"{path.name}: {_cause(code, cpu, wall)}")
        with guarded(path):  # an answer that is none
            kind, value = _decoded(buffer)
    if kind == "memory":
        raise FormatError(f"{path.name}: reading wants {limits.too_much()}")
    if kind == "error":
        raise FormatError(value)
    return value


def _cause(code: int, cpu: float, wall: float) -> str:
    """Why a process left without an answer; `code` as of subprocess: negative for a signal."""
    what = {
        getattr(signal, "SIGXCPU", 24): f"took longer than {cpu:.0f} s of the processor",
        getattr(signal, "SIGALRM", 14): f"took longer than {wall:.0f} s",
        getattr(signal, "SIGKILL", 9): "was killed, most likely for want of memory",
    }.get(-code, "crashed")
    return f"the file is damaged (the reader {what}); copy it again from where it came from"


# --- the parent's side
def _forked(
    function: Callable[..., Any], path: Path, arguments: tuple[Any, ...], cpu: float, wall: float
) -> tuple[int, Any]:
    """The exit code, and the answer as a buffer."""
    with tempfile.TemporaryFile() if not hasattr(os, "memfd_create") else _memory_file() as file:
        with warnings.catch_warnings():  # Python 3.12 and later warn of threads; the child only reads
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            _live(path, lambda: function(path, *arguments), file, cpu, wall)
        try:
            _, status = os.waitpid(child, 0)
        except BaseException:  # interrupted: nobody waits any more
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
        size = os.fstat(file.fileno()).st_size
        buffer = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) if size else b""
    return os.waitstatus_to_exitcode(status), buffer


def _memory_file() -> Any:
    return os.fdopen(os.memfd_create("scanprior"), "w+b")


def _spawned(
    function: Callable[..., Any], path: Path, arguments: tuple[Any, ...], cpu: float, wall: float
) -> tuple[int, Any]:
    """As `_forked`, by a fresh interpreter."""
    request = {
        "function": [function.__module__, function.__name__],
        "arguments": _encode([str(path), *arguments], None),
        "limits": [limits.memory() / 1e9, limits.external()],
        "seconds": [cpu, wall],
    }
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    with tempfile.TemporaryDirectory(prefix="scanprior-") as folder:
        answer = Path(folder) / "answer"
        try:
            done = subprocess.run(
                [sys.executable, "-m", __spec__.name, str(answer)],
                input=json.dumps(request).encode(),
                env=environment,
                timeout=wall,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return -getattr(signal, "SIGALRM", 14), b""
        return done.returncode, bytearray(answer.read_bytes()) if answer.exists() else b""


# --- the child's side
def _live(path: Path, work: Callable[[], Any], file: Any, cpu: float, wall: float) -> NoReturn:
    """Do the work under limits, write the answer to the file, and leave without the parent's last rites."""
    code = 1
    try:
        confine(cpu, wall)
        if limits.external():  # HDF5 looks for external storage in the working directory
            os.chdir(path.parent)
        try:
            _write(file, _answer(path, work, file))
        except (MemoryError, OSError):  # the answer itself is too large
            file.seek(0)
            file.truncate()
            _write(file, ["memory", None])
        code = 0
    except BaseException:
        if _debug():
            traceback.print_exc()
    finally:
        os._exit(code)


def confine(cpu: float, wall: float) -> None:
    """From now on this process is one that reads: `isolated` calls the function itself, and after `cpu` seconds of the
    processor or `wall` of the clock the process ends."""
    global _inside
    _inside = True
    gc.freeze()  # what the parent left behind is not ours to tidy
    faulthandler.disable()
    if not _debug():  # what malloc says of a damaged heap is no news for the user
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _limit(cpu, wall)


def _limit(cpu: float, wall: float) -> None:
    """Limits of this process; the signals that end it do so."""
    with suppress(ImportError):
        import resource

        try:
            used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * mmap.PAGESIZE
        except OSError:
            used = 1 << 30
        for limit, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_AS, used + _OVERHEAD + limits.memory()),
            (resource.RLIMIT_FSIZE, _OVERHEAD + limits.memory()),
            (resource.RLIMIT_CPU, int(cpu)),
        ):
            with suppress(ValueError, OSError):  # lower already
                resource.setrlimit(limit, (most, resource.getrlimit(limit)[1]))
    for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGXCPU"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, wall)


def _answer(path: Path, work: Callable[[], Any], file: Any) -> list[Any]:
    """What the parent is told, as JSON; arrays go to the file. Raises MemoryError and OSError for want of room."""
    try:
        with guarded(path):
            found = work()
        return ["value", _encode(found, file)]
    except (FormatError, TypeError) as error:  # TypeError: of _encode
        if _debug():
            traceback.print_exc()
        return ["error", str(error) if isinstance(error, FormatError) else f"{path.name}: {error}"]


def _debug() -> bool:
    return os.environ.get("SCANPRIOR_DEBUG", "0") not in ("", "0")


# --- what crosses
def _write(file: Any, answer: list[Any]) -> None:
    """The JSON that refers to the arrays before it, then its length."""
    words = json.dumps(answer).encode()
    file.write(words)
    file.write(len(words).to_bytes(8, "little"))
    file.flush()


def _decoded(buffer: Any) -> tuple[str, Any]:
    """What `_write` wrote. Raises ValueError, TypeError and the like for anything else."""
    end = len(buffer) - 8
    length = int.from_bytes(buffer[end:], "little")
    if end < 0 or not 0 < length <= end:
        raise ValueError("an answer that is cut off")
    kind, value = _decode(json.loads(buffer[end - length : end]), buffer)
    return kind, value


def _encode(value: Any, file: Any) -> Any:
    """JSON, in which {"tuple": …} and the like stand for what JSON does not have; arrays go to the file."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list):
        return [_encode(item, file) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, file) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[_encode(key, file), _encode(item, file)] for key, item in value.items()]}
    if isinstance(value, slice):
        return {"slice": [_encode(item, file) for item in (value.start, value.stop, value.step)]}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS and file is not None:
        file.write(b"\0" * (-file.tell() % 64))
        at = file.tell()
        if value.nbytes:
            file.write(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        return {"array": [at, value.dtype.str, list(value.shape)]}
    if isinstance(value, Scan | Volume | ParallelBeam | FanBeam):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return {type(value).__name__: _encode(parts, file)}
    kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    raise TypeError(f"got {kind} in an attribute or a dataset, expected text or numbers; write it anew")


def _decode(value: Any, buffer: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item, buffer) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "array":
        at, name, shape = inner
        dtype = np.dtype(name)
        if dtype.kind not in _NUMBERS:
            raise ValueError(f"an array of {dtype}")
        count = int(np.prod(shape, dtype=np.int64))
        if not count * dtype.itemsize:
            return np.zeros(shape, dtype)
        return np.frombuffer(buffer, dtype, count, at).reshape(shape)
    if kind in _CROSSING:
        return _CROSSING[kind](**_decode(inner, buffer))
    parts = [_decode(item, buffer) for item in inner]
    makers: dict[str, Callable[..., Any]] = {
        "tuple": tuple,
        "dict": dict,
        "slice": lambda ends: slice(*ends),
        "complex": lambda ends: complex(*ends),
    }
    return makers[kind](parts)


def _main() -> NoReturn:
    request = json.loads(sys.stdin.buffer.read())
    module, name = request["function"]
    path, *arguments = _decode(request["arguments"], b"")
    memory, external = request["limits"]
    with Path(sys.argv[1]).open("w+b") as file, limits.allowing(memory, external):
        function = getattr(importlib.import_module(module), name)
        _live(Path(path), lambda: function(Path(path), *arguments), file, *request["seconds"])


if __name__ == "__main__":
    _main()
