"""The progress of a run on a terminal or in a notebook; plain lines at intervals where neither is. All on stderr, so
that stdout can be piped."""

from __future__ import annotations

import sys
import threading
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

EVERY = 30.0  # seconds between plain lines
SHORT = 10.0  # seconds after which a stage without steps is worth a plain line


class Shown:
    """A workflow's progress (workflows/progress.py): a bar for the stage that runs, a line for each that has ended.

    Args:
        quiet: only warnings.
        verbose: how long each stage took, too.
    """

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self.console, self.quiet, self.verbose = Console(file=sys.stderr), quiet, verbose
        self.live = not quiet and (self.console.is_terminal or self.console.is_jupyter)
        self.bar: Progress | None = None
        self.timer: threading.Timer | None = None
        self.name, self.total, self.began, self.last = "", None, time.monotonic(), time.monotonic()

    def stage(self, name: str, total: int | None = None) -> None:
        """End the stage before, begin this one."""
        self.close()
        self.name, self.total, self.began, self.last = name, total, time.monotonic(), time.monotonic()
        if self.live:
            times = (TimeElapsedColumn(), *((TimeRemainingColumn(),) if total else ()))
            counts = (MofNCompleteColumn(), TextColumn("{task.fields[note]}")) if total else ()
            columns = (TextColumn("{task.description}"), BarColumn(), *counts, *times)
            self.bar = Progress(*columns, console=self.console, transient=total is None)
            self.task = self.bar.add_task(name, total=total, note="")
            self.bar.start()
        elif total is None and not self.quiet:
            self.timer = threading.Timer(SHORT, self._line, [f"{name} …"])
            self.timer.daemon = True
            self.timer.start()

    def update(self, done: int, note: str = "") -> None:
        """A step of the stage."""
        if self.bar is not None:
            self.bar.update(self.task, completed=done, note=note)
        elif not self.quiet and (time.monotonic() - self.last > EVERY or done == self.total):
            self.last, seconds = time.monotonic(), time.monotonic() - self.began
            of = f"/{self.total}" if self.total else ""
            self._line(f"{self.name} {done}{of}  {note}".rstrip() + f"  ({seconds:.0f} s)")

    def say(self, line: str) -> None:
        """A line for the user."""
        if not self.quiet:
            self._line(line)

    def warn(self, line: str) -> None:
        """A line for the user, even a quiet one."""
        self._line(f"warning: {line}")

    def close(self) -> None:
        """End the stage; the work is done."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
        if self.timer is not None:
            self.timer.cancel()
        if self.verbose and self.name and not self.quiet:
            self._line(f"{self.name}: {time.monotonic() - self.began:.1f} s")
        self.name = ""

    def _line(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)
