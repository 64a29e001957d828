"""The loop of a training run that keeps a folder: what it tells, its log, checkpoints and exports."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..priors.train import Step, Trainer
from .progress import SILENT, Progress
from .signals import LEAVING, Request, leave
from .train_folder import Log, exported

LOG_EVERY = 50  # steps; 1 in runs of at most SHORT steps
SHORT = 200


@dataclass(frozen=True)
class Keeping:
    """How the folder of a run is kept.

    Attributes:
        output: the folder.
        export: makes what the run ships, given the log; after each checkpoint that no signal asked for.
        minutes: between checkpoints.
        request: what signals ask for.
        progress: hears of the steps.
    """

    output: Path
    export: Callable[[Log], None]
    minutes: float = 5.0
    request: Request = field(default_factory=Request)
    progress: Progress = SILENT


def loop(trainer: Trainer, keeping: Keeping) -> None:
    """Train to the end. The first process keeps the folder: the log, and every some minutes, at a signal and at the end
    a checkpoint."""
    request = keeping.request
    keeper = _Keeper(trainer, keeping) if trainer.world.rank == 0 else None
    request.training = True
    try:
        for state in trainer:
            asked = request.agreed(trainer.world)
            if keeper:
                keeper.after(state, asked)
            if asked and asked in LEAVING:
                trainer.world.greatest(0)  # nobody leaves before the checkpoint is written
                leave(asked)
    finally:
        request.training = False
        if keeper:
            keeper.close()


class _Keeper:
    """What the first process does beside training; see `loop`."""

    def __init__(self, trainer: Trainer, keeping: Keeping) -> None:
        self.trainer, self.output, self.progress = trainer, keeping.output, keeping.progress
        self.keeping, self.total = keeping, trainer.config.steps
        shipped = exported(self.output) == trainer.step
        self.log, self.saved = Log(self.output / "log.jsonl", trainer.step, shipped), time.monotonic()
        if trainer.step:
            self._say_where(trainer.step)
        if trainer.step < self.total:
            self.progress.stage(f"training {self.output.name}", self.total)
        elif not shipped:  # killed after the last checkpoint
            keeping.export(self.log)

    def _say_where(self, step: int) -> None:
        if step >= self.total:
            self.progress.say(f"{self.output}: all {self.total} steps are done")
        elif self.log.last > step:
            self.progress.say(
                f"{self.output}: goes on after step {step}; up to step {self.log.last} it had gone without another "
                f"checkpoint, so {self.log.last - step} steps are repeated"
            )
        else:
            self.progress.say(f"{self.output}: goes on after step {step}; nothing is repeated")

    def after(self, state: Step, asked: signal.Signals | None) -> None:
        """After a step."""
        losses, every = list(self.trainer.losses), 1 if self.total <= SHORT else LOG_EVERY
        self.progress.update(state.step, f"loss {np.mean(losses):.4f}")
        if state.step % every == 0 or state.step == self.total:
            entry = {"step": state.step, "loss": float(np.mean(losses[-every:])), "rate": state.learning_rate}
            self.log.write({**entry, "seconds": round(state.seconds, 3)})
        due = time.monotonic() - self.saved > 60 * self.keeping.minutes or state.step == self.total
        if due or asked:
            self.trainer.save()
            self.saved = time.monotonic()
        leaving = asked in LEAVING
        if asked:
            words = f"{asked.name}: {self.trainer.checkpoint} holds step {state.step}"
            words += "; the same command goes on after it" if leaving else ""
            self.progress.say(words)
        if due and not leaving:
            self.keeping.request.training = False  # what an export loses costs no step
            self.keeping.export(self.log)
            self.keeping.request.training = True

    def close(self) -> None:
        """Put the log away."""
        self.log.close()
