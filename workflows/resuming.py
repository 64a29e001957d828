"""Going on with a training run: whether it is still the same one, from which step, and what its log keeps."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from ..formats.write import atomic
from ..pretrained.cache import header_card
from ..priors.train import Trainer
from . import locks


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


def resume(trainer: Trainer, output: Path, force: bool) -> None:
    """Load the run's checkpoint where there is one.

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
    if unlike and trainer.world.rank == 0:
        click.echo(f"{output}: goes on with other data or settings ({'; '.join(unlike)})")


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
        return int(header_card(output / "prior.safetensors").training["finished_steps"])
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
