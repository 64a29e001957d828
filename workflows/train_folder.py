"""The folder of a training run: what lies in it, who may write it, and how a run in it goes on: whether it is still the
same one, from which step, and what its log keeps.

    checkpoint.safetensors   everything needed to go on
    prior.safetensors        the averaged weights in half precision, with their card: for `--prior`
    log.jsonl                loss and validation figures, an entry a line
    config.json              the preset and the settings, for people
    samples.png, curves.png  samples of the prior, and the curves of the log
    coarse/                  the same of the coarse prior, where the preset has one
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..formats.write import atomic
from ..pretrained.cache import header_card
from ..pretrained.card import Card
from ..priors.train import Trainer
from . import locks
from .images import ImageSets
from .progress import Progress
from .training_preset import TrainingPreset

WEIGHTS = "prior.safetensors"


@dataclass(frozen=True)
class TrainingRun:
    """What a training left: its folder, the steps it has done, the figures of its last export (PSNR [dB], by noise
    level of a prior; empty without validation images), and the card of what it ships."""

    folder: Path
    step: int
    figures: dict[str, Any]
    card: Card

    @property
    def weights(self) -> Path:
        """The file to reconstruct with."""
        return self.folder / WEIGHTS


def left_in(folder: Path, card: Card) -> TrainingRun:
    """What lies in a run folder; of `card` where another process has yet to write it."""
    with suppress(OSError, ValueError, LookupError):
        card = header_card(folder / WEIGHTS)
    return TrainingRun(folder, exported(folder), card.validation, card)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """A run folder, made where it is missing, that no other process trains in meanwhile: two would write over each
    other's checkpoints. The system lets go of the lock however the process ends. Raises ValueError."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.name != "posix":
        yield
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        if not locks.take(file):
            raise ValueError(
                f"{folder}: another process trains in this folder; wait for its end, or give another folder"
            )
        try:
            yield
        finally:
            with suppress(OSError):  # a run that was refused leaves no empty folder
                folder.rmdir()
    finally:
        os.close(file)


def refuse_other_run(output: Path, supervised: str | None) -> None:
    """Raise ValueError where the folder holds a run of a prior or a supervised network, and this is the other;
    NotADirectoryError where it is none."""
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(f"{output} is a file, expected a folder for the run; choose another name")
    before = kind_before(output)
    if before is not None and before != (supervised or ""):
        kinds = [f"a supervised network for {s}" if s else "a prior" for s in (before, supervised)]
        raise ValueError(
            f"{output} holds the run of {kinds[0]}, this is one of {kinds[1]}; give another folder"
        )


def write_config(output: Path, settings: dict[str, Any]) -> None:
    """The run folder, with its config.json: for people to read."""
    output.mkdir(parents=True, exist_ok=True)
    with atomic(output / "config.json") as temporary:
        temporary.write_text(json.dumps(settings, indent=1))


def run_facts(images: ImageSets, preset: TrainingPreset, kind: str, factor: int = 1) -> dict[str, Any]:
    """What a run learns, and from what: kept in its checkpoint, and held against the call that goes on with it."""
    tables = {key: preset.tables[key] for key in ("prior", "network", "crops")}
    return {"run": kind, "data": images.facts(), **tables, "factor": factor}


def resume(trainer: Trainer, output: Path, force: bool, progress: Progress) -> None:
    """Load the run's checkpoint where there is one; `progress` hears of what is forced.

    Raises:
        ValueError: a checkpoint that is damaged or of another network; without `force` one of other data, seed or
            settings. More steps, or fewer, are no other setting: that is how a run is made longer.
    """
    if not trainer.checkpoint.is_file():
        return
    trainer.load()
    kept = trainer.before
    unlike = differences(kept.get("facts") or {}, trainer.facts) if "facts" in kept else []
    own = {
        name: getattr(trainer.config, name)
        for name in kept.get("config", {})
        if hasattr(trainer.config, name)
    }
    there = {name: kept["config"][name] for name in own}
    unlike += differences({**there, "steps": 0}, {**own, "steps": 0})
    if unlike and not force:
        raise ValueError(
            f"{output}: the run began with other data or settings ({'; '.join(unlike)}); take those, give another "
            "folder, or go on with these by --force"
        )
    if unlike:
        progress.warn(f"{output}: goes on with other data or settings ({'; '.join(unlike)})")


def differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """What two nested tables do not agree on, a phrase each."""
    a, b = (_flat(json.loads(json.dumps(table))) for table in (there, here))
    return [
        f"{key} {a.get(key, 'not set')} there, {b.get(key, 'not set')} here"
        for key in dict.fromkeys([*a, *b])
        if a.get(key) != b.get(key)
    ]


def _flat(table: dict[str, Any], above: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in table.items():
        out |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return out


def kind_before(output: Path) -> str | None:
    """What a run folder's config.json says that it trains: "" a prior, otherwise the measurement of a supervised
    network; None where nothing can be read (an older version's kill left half a file: the checkpoint knows too)."""
    try:
        return json.loads((output / "config.json").read_text()).get("supervised") or ""
    except (OSError, ValueError, AttributeError):
        return None


def exported(output: Path) -> int:
    """The step of the prior that the run folder has to ship; -1 for none."""
    try:
        return int(header_card(output / WEIGHTS).training["finished_steps"])
    except (OSError, ValueError, LookupError, TypeError):
        return -1


class Log:
    """A run's log.jsonl, an entry a line. What a run did after its last checkpoint is cut off when it goes on, for it
    is done again, and so is a line that a kill tore. `last`: the greatest step it had."""

    def __init__(self, path: Path, step: int, shipped: bool) -> None:
        self.path, self.last = path, 0
        lines = path.read_bytes().splitlines() if path.is_file() else []
        kept = [line for line in lines if self._stays(line, step, shipped)]
        if kept != lines:
            with atomic(path) as temporary:
                temporary.write_bytes(b"".join(line + b"\n" for line in kept))
        self._file = path.open("ab", buffering=0)

    def _stays(self, line: bytes, step: int, shipped: bool) -> bool:
        try:
            entry = json.loads(line)
            at = int(entry["step"])
        except (ValueError, LookupError, TypeError):
            return False
        self.last = max(self.last, at)
        return at < step or (at == step and ("loss" in entry or shipped))

    def write(self, entry: dict[str, Any]) -> None:
        """Append an entry. Raises OSError with the log's name."""
        try:
            self._file.write(json.dumps(entry).encode() + b"\n")
        except OSError as error:
            raise OSError(
                error.errno or 0, f"cannot be written ({error.strerror})", str(self.path)
            ) from error

    def close(self) -> None:
        self._file.close()
