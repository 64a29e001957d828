"""Many inputs of a format, chunk by chunk.

The inputs are numbered, and a number is always the same input: a sound file with one to four changes. A chunk is
written to memory and surveyed in one process; what that neither reads nor refuses, and a random one in CHECKED of the
rest, goes through the front door, whose word counts. An input that the two read differently is a fault too.

Finished chunks are lines of JSON in a file, so that a campaign that was stopped goes on.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from . import fate
from .changes import changes, mutate
from .sound import sound

CHUNK = 500
SETTLED = ("read", "refused")  # in the survey
CHECKED, PATIENT = (
    200,
    50,
)  # one in so many: of all at the front door, of the frozen with all the time a user gives


@dataclass
class Tally:
    """What the inputs of a format met."""

    inputs: int = 0
    met: Counter[str] = field(default_factory=Counter)  # of FATES
    bad: list[str] = field(default_factory=list)  # "number: what" of those that should not have
    checked: int = 0  # inputs that went through the front door
    longest: float = 0.0  # s
    peak: float = 0.0  # MB, of a process
    seconds: float = 0.0

    def add(self, other: Tally) -> None:
        for name in ("inputs", "checked", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.met.update(other.met)
        self.bad += other.bad
        self.longest, self.peak = max(self.longest, other.longest), max(self.peak, other.peak)

    def row(self, name: str) -> str:
        """A line of the table in docs/reliability.md."""
        counts = " | ".join(f"{self.met[what]:,}" for what in fate.FATES)
        ends = f"{self.checked:,} | {self.longest:.1f} | {self.peak:.0f}"
        return f"| {name} | {self.inputs:,} | {counts} | {ends} |"


HEAD = f"| format | inputs | {' | '.join(fate.FATES)} | front door | longest [s] | memory [MB] |"


def campaign(name: str, inputs: int, seed: int = 0, log: Path | None = None) -> Iterator[Tally]:
    """What the inputs so far met, after every chunk; the chunks that `log` has are not repeated."""
    total = Tally()
    for entry in _entries(log):
        if (entry.pop("format"), entry.pop("seed")) == (name, seed) and total.inputs < inputs:
            total.add(Tally(**entry))
    if total.inputs:
        yield total
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        fate.warm(sound(name, Path(folder)))
        while total.inputs < inputs:
            numbers = range(total.inputs, min(total.inputs + CHUNK, inputs))
            chunk = _chunk(name, numbers, seed, Path(folder))
            total.add(chunk)
            if log is not None:
                with log.open("a") as file:
                    print(json.dumps({"format": name, "seed": seed} | vars(chunk)), file=file)
            yield total


def write(name: str, number: int, seed: int, sounds: Path, folder: Path) -> Path:
    """The input of that number, in a folder; `sounds` keeps the sound files."""
    source = sound(name, sounds)
    target = folder / f"{number}-{source.name}"
    mutate(source, target, changes(np.random.default_rng([seed, number])))
    return target


def _chunk(name: str, numbers: Sequence[int], seed: int, sounds: Path) -> Tally:
    start, tally = time.monotonic(), Tally(len(numbers))
    with tempfile.TemporaryDirectory(dir=sounds) as folder:
        paths = [write(name, number, seed, sounds, Path(folder)) for number in numbers]
        found, tally.peak = fate.judged(fate.surveyed, paths, confined=True)
        rng = np.random.default_rng([seed, numbers[0], 1])
        checked, patient = rng.random(len(paths)) < 1 / CHECKED, rng.random(len(paths)) < 1 / PATIENT
        for k, path in enumerate(paths):
            quick = found[k][0]
            if quick in SETTLED and not checked[k]:
                continue
            at_door = partial(fate.fate, patient=quick != "hung" or patient[k])
            (found[k],), peak = fate.judged(at_door, [path], confined=False)
            tally.checked, tally.peak = tally.checked + 1, max(tally.peak, peak)
            if quick in SETTLED and found[k][0] != quick:
                tally.bad.append(f"{numbers[k]}: {quick} in the survey, {found[k][0]} at the front door")
    for number, (now, where, seconds) in zip(numbers, found, strict=True):
        tally.met[now] += 1
        tally.longest = max(tally.longest, seconds)
        if now not in fate.SURVIVED:
            tally.bad.append(f"{number}: {now} {where} {seconds:.1f} s")
    tally.seconds = time.monotonic() - start
    return tally


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _entries(log: Path | None) -> Iterator[dict]:
    for line in log.read_text().splitlines() if log is not None and log.exists() else ():
        yield json.loads(line)
