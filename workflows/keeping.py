"""The loop of a training run that keeps a folder: its progress bar, log, checkpoints and exports."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..priors.train import Step, Trainer
from .resuming import Log, exported
from .signals import LEAVING, Request, leave

LOG_EVERY = 50  # steps; 1 in runs of at most SHORT steps
SHORT = 200


def loop(
    trainer: Trainer, output: Path, minutes: float, export: Callable[[Log], None], request: Request
) -> None:
    """Train to the end. The first process keeps the folder: a progress bar, the log, and every `minutes`, at a signal
    and at the end a checkpoint; `export` (given the log) follows those that no signal asked for."""
    keeper = _Keeper(trainer, output, minutes, export, request) if trainer.world.rank == 0 else None
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

    def __init__(
        self, trainer: Trainer, output: Path, minutes: float, export: Callable[[Log], None], request: Request
    ) -> None:
        self.trainer, self.output, self.seconds, self._export = trainer, output, 60 * minutes, export
        self.request, self.total = request, trainer.config.steps
        shipped = exported(output) == trainer.step
        self.log, self.saved = Log(output / "log.jsonl", trainer.step, shipped), time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps  loss {task.fields[loss]:.4f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, disable=trainer.step >= self.total)
        self.task = self.bar.add_task(
            f"training {output.name}", total=self.total, completed=trainer.step, loss=float("nan")
        )
        if trainer.step:
            self._say_where(trainer.step)
        if trainer.step >= self.total and not shipped:  # killed after the last checkpoint
            export(self.log)
        self.bar.start()

    def _say_where(self, step: int) -> None:
        if step >= self.total:
            click.echo(f"{self.output}: all {self.total} steps are done")
        elif self.log.last > step:
            click.echo(
                f"{self.output}: goes on after step {step}; up to step {self.log.last} it had gone without another "
                f"checkpoint, so {self.log.last - step} steps are repeated"
            )
        else:
            click.echo(f"{self.output}: goes on after step {step}; nothing is repeated")

    def after(self, state: Step, asked: signal.Signals | None) -> None:
        """After a step."""
        losses, every = list(self.trainer.losses), 1 if self.total <= SHORT else LOG_EVERY
        self.bar.update(self.task, completed=state.step, loss=float(np.mean(losses)))
        if state.step % every == 0 or state.step == self.total:
            entry = {"step": state.step, "loss": float(np.mean(losses[-every:])), "rate": state.learning_rate}
            self.log.write({**entry, "seconds": round(state.seconds, 3)})
        due = time.monotonic() - self.saved > self.seconds or state.step == self.total
        if due or asked:
            self.trainer.save()
            self.saved = time.monotonic()
        leaving = asked in LEAVING
        if asked:
            words = f"{asked.name}: {self.trainer.checkpoint} holds step {state.step}"
            words += "; the same command goes on after it" if leaving else ""
            self.bar.console.print(words, soft_wrap=True, highlight=False, markup=False)
        if due and not leaving:
            self.request.training = False  # what an export loses costs no step
            self._export(self.log)
            self.request.training = True

    def close(self) -> None:
        """Put the bar and the log away."""
        self.bar.stop()
        self.log.close()
