"""The progress bar of runs that count things: images, slices, trials. On stderr, so that stdout can be piped."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def counting() -> Progress:
    """What is done of what, for how long, and how much longer; a context manager. Nothing where no terminal is."""
    console = Console(file=sys.stderr)
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *times)
    return Progress(*columns, console=console, disable=not console.is_terminal)
