"""How a workflow tells what it is doing: it calls a `Progress`, and knows nothing of who looks.

A workflow takes `progress: Progress | None = None`. None shows bars where a terminal or a notebook is, and plain lines
at intervals elsewhere (report/progress.py); `SILENT` tells nothing. Any object with these methods will do.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    def stage(self, name: str, total: int | None = None) -> None:
        """What begins now ("reading", "coil maps", "sampling"), and of how many steps it is, where that is known."""
        ...

    def update(self, done: int, note: str = "") -> None:
        """So many steps of the stage are done; `note` stands beside them (a loss, a task)."""
        ...

    def say(self, line: str) -> None:
        """A result or a decision that the user should read, in a sentence."""
        ...

    def warn(self, line: str) -> None:
        """What speaks against the result, in a sentence."""
        ...

    def close(self) -> None:
        """The work is done, or has failed: no bar stays."""
        ...


class Silent:
    """Tells nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        pass

    def update(self, done: int, note: str = "") -> None:
        pass

    def say(self, line: str) -> None:
        pass

    def warn(self, line: str) -> None:
        pass

    def close(self) -> None:
        pass


SILENT = Silent()


def told(progress: Progress | None) -> Progress:
    """A workflow's `progress`; for None the one that shows."""
    if progress is not None:
        return progress
    from ..report.progress import Shown

    return Shown()
