"""What happens to a file that is described, read and validated.

`fate` goes through the readers' front door, as a user does: HDF5 is read in a process of its own. That takes some
20 ms a file. `surveyed` is the quick way: the process is itself the one that reads (isolated.confine), for many files.
"""

from __future__ import annotations

import io
import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from scanprior.formats import isolated, limits
from scanprior.formats.images import open_images
from scanprior.formats.read import describe, read
from scanprior.formats.scan import FormatError
from scanprior.workflows.validate import examine

MEMORY = 1.0  # GB that reading may take
ROOM = 16.0  # GB of addresses where no process of its own sets a bound: a parser may ask for more than it touches
SLOW = 10.0  # s: longer is a hang
STUCK = 40.0  # s: the process that calls is ended
QUICK = 0.25  # s of the processor that a file may take in a survey; a sound one takes 0.02
FATES = ("read", "refused", "library crashed", "library froze", "escaped", "crashed", "hung")
SURVIVED = FATES[:4]
Fate = tuple[str, str, float]  # one of FATES, what escaped and where, the longest time [s]


def fate(path: Path, patient: bool = True) -> Fate:
    """Of a file at the front door: the worst of what happens to the verbs. Without patience the library has 2 QUICK
    instead of eight seconds, and may freeze once."""
    if not patient:
        isolated._SECONDS = 2 * QUICK
    found, longest = "read", 0.0
    for verb in _verbs(path):
        now, where, seconds = _tried(verb)
        longest = max(longest, seconds)
        found = "hung" if seconds > SLOW else max(found, now, key=FATES.index)
        if found not in SURVIVED or (not patient and found == "library froze"):
            return found, where, longest
    return found, "", longest


def surveyed(path: Path) -> Fate:
    """`fate` in a process that is confined; a file that crashes or freezes the library ends the process."""
    found, longest = "read", 0.0
    for verb in _verbs(path):
        signal.setitimer(signal.ITIMER_PROF, QUICK)
        now, where, seconds = _tried(lambda verb=verb: _sent(path, verb()))
        if now not in ("read", "refused"):
            return now, where, seconds
        found, longest = max(found, now, key=FATES.index), max(longest, seconds)
    signal.setitimer(signal.ITIMER_PROF, 0)
    return found, "", longest


def warm(path: Path) -> None:
    """Import what reading a sound file imports: here, not in every process that is forked."""
    isolated._inside = True
    try:
        for verb in _verbs(path):
            verb()
    finally:
        isolated._inside = False


def _verbs(path: Path) -> list[Callable[[], Any]]:
    verbs: list[Callable[[], Any]] = [lambda: describe(path, max_memory=MEMORY)]
    if path.name.endswith(("image-set.h5", "cifar-10.bin")):  # as training reads them
        verbs.append(lambda: _one_by_one(path))
    if not path.name.endswith("cifar-10.bin"):  # of which `read` says that it holds pictures in colour
        verbs += [lambda: read(path, max_memory=MEMORY, slices=[0]), lambda: _examined(path)]
    return verbs


def _tried(verb: Callable[[], Any]) -> Fate:
    start, where = time.perf_counter(), ""
    try:
        verb()
        now = "read"
    except FormatError as error:
        words = str(error)
        crashed, froze = "reader crashed" in words or "was killed" in words, "took longer than" in words
        now = "library crashed" if crashed else "library froze" if froze else "refused"
    except Exception as error:
        frames = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
        now, where = "escaped", f"{type(error).__name__} {' <- '.join(frames[:-4:-1])}"
    return now, where, time.perf_counter() - start


def _examined(path: Path) -> None:
    found = examine(path, max_memory=MEMORY)
    if found["problems"]:
        raise FormatError(found["problems"][0])


def _sent(path: Path, value: Any) -> None:
    """What crosses to another process must be of a kind that can."""
    if path.suffix == ".h5":
        isolated._encode(value, io.BytesIO())


def _one_by_one(path: Path) -> None:
    images = open_images(path)
    for index in range(len(images)):
        images[index]


# --- in processes that may die
def judged(judge: Callable[[Path], Fate], paths: Sequence[Path], confined: bool) -> tuple[list[Fate], float]:
    """The fate of each file by `judge`, in processes of its own that may die of a file; the largest memory of one [MB].

    A file that ends its process has "crashed", or "hung" where that was for want of time."""
    found: list[Fate] = []
    peak = 0.0
    while len(found) < len(paths):
        inlet, outlet = os.pipe()
        child = os.fork()
        if not child:
            _judge(judge, paths[len(found) :], confined, outlet)
        os.close(outlet)
        with os.fdopen(inlet) as lines:
            found += [tuple(json.loads(line)) for line in lines if line.endswith("\n")]
        _, status, usage = os.wait4(child, 0)
        peak = max(peak, usage.ru_maxrss / 1e3)
        if len(found) < len(paths):  # it did not come to the end
            code = os.waitstatus_to_exitcode(status)
            late = -code in (signal.SIGALRM, signal.SIGXCPU, signal.SIGPROF)
            found.append(("hung" if late else "crashed", f"exit code {code}", 0.0))
    return found, peak


def _judge(judge: Callable[[Path], Fate], paths: Sequence[Path], confined: bool, outlet: int) -> NoReturn:
    code = 1
    try:
        with limits.allowing(MEMORY if paths[0].suffix == ".h5" else ROOM):
            if confined:
                isolated.confine(len(paths) * SLOW, len(paths) * SLOW)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            for path in paths:
                signal.setitimer(signal.ITIMER_REAL, STUCK)
                os.write(outlet, json.dumps(judge(path)).encode() + b"\n")
        code = 0
    finally:
        os._exit(code)
