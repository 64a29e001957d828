"""What a verb does when it is told to stop. One that writes a folder leaves things in order (`terminable`). A training
ends its step, saves, and leaves (`listening`):

    SIGUSR1   saves and goes on          (SLURM: --signal=USR1@300, five minutes before the time is up)
    SIGTERM   saves and leaves with 143  (a scheduler takes the machine back: the same command goes on, so requeue it)
    SIGINT    saves and leaves with 130  (Ctrl-C; a second one leaves at once)

Where several processes train, a signal to one of them is one to all: they agree after every step.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..priors.parallel import World

# By urgency. Windows has no SIGUSR1.
KNOWN = [getattr(signal, name) for name in ("SIGUSR1", "SIGTERM", "SIGINT") if hasattr(signal, name)]
LEAVING = (signal.SIGTERM, signal.SIGINT)


class Request:
    """What this process was asked for. `training`: whether there are steps that would be lost."""

    def __init__(self) -> None:
        self.urgency, self.training = 0, False

    def note(self, number: int, _: FrameType | None = None) -> None:
        """The handler of the signals."""
        again = self.urgency == len(KNOWN)
        self.urgency = max(self.urgency, KNOWN.index(signal.Signals(number)) + 1)
        if not self.training or (again and number == signal.SIGINT):
            self.urgency = 0
            leave(signal.Signals(number))

    def agreed(self, world: World) -> signal.Signals | None:
        """The most urgent of what the processes were asked for since the last time."""
        urgency, self.urgency = world.greatest(self.urgency), 0
        return KNOWN[urgency - 1] if urgency else None


def leave(asked: signal.Signals) -> None:
    """Leave as the signal demands; SIGUSR1 does not."""
    if asked == signal.SIGINT:
        raise KeyboardInterrupt
    if asked == signal.SIGTERM:
        raise SystemExit(128 + signal.SIGTERM)


@contextmanager
def listening() -> Iterator[Request]:
    """Signals are kept for whoever trains; only the main thread can do that."""
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.note) for number in KNOWN}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends the block as an exception does, so that it can leave things in order: SystemExit, code 143."""
    owner = os.getpid()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() != owner:  # a child that was forked has nothing to put in order
            os._exit(128 + number)
        leave(signal.Signals(number))

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
