"""Work on many things by all cores, the results in order. What ends its process (a codec that crashes, no memory) costs
nobody else's work and is tried once more by itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2  # things a process that are begun before the first of them is needed
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def in_order(
    function: Callable[[T], R], items: Sequence[T], preload: Sequence[str] = ()
) -> Iterator[R | None]:
    """`function(item)` of each, in their order; None for an item that ends its process even by itself.

    Args:
        function: picklable, as are the items and what it returns; what it raises is raised here.
        preload: modules that every process begins with.
    """
    workers, rest = min(max(len(items), 1), cores()), deque(items)
    begun: deque[tuple[T, Future[R] | None]] = deque()
    pool = _pool(workers, preload)
    try:
        while rest or begun:
            while rest and len(begun) < AHEAD * workers:
                item = rest.popleft()
                begun.append((item, _begin(pool, function, item)))
            item, future = begun.popleft()
            try:
                if future is None:
                    raise BrokenProcessPool
                result: R | None = future.result()
            except BrokenProcessPool:  # a process ended, and all that were at work with it
                pool.shutdown()
                result, pool = _alone(function, item, preload), _pool(workers, preload)
                begun = deque(
                    (
                        other,
                        was if was and was.done() and not was.exception() else _begin(pool, function, other),
                    )
                    for other, was in begun
                )
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin(pool: ProcessPoolExecutor, function: Callable[[T], R], item: T) -> Future[R] | None:
    try:
        return pool.submit(function, item)
    except BrokenProcessPool:
        return None


def _alone(function: Callable[[T], R], item: T, preload: Sequence[str]) -> R | None:
    """By a process of its own; None where that ends too."""
    with _pool(1, preload) as pool:
        try:
            return pool.submit(function, item).result()
        except BrokenProcessPool:
            return None


def _pool(workers: int, preload: Sequence[str]) -> ProcessPoolExecutor:
    """Processes that begin as copies of a small one, which has loaded `preload` once and no threads."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _settle)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    with _environment(ONE_THREAD):  # each of the processes is for one core
        forkserver.ensure_running()
    return ProcessPoolExecutor(workers, context, _settle)


@contextmanager
def _environment(more: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _settle() -> None:
    """Ctrl-C is the parent's to hear; a process whose parent was killed ends too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
