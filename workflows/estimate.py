"""How long a method takes: tried for a few seconds, before anything is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..recon.posterior.method import PosteriorMethod
from ..recon.problem import Problem
from .benchmark.memory import peak_memory


def tried(
    method: Any, problem: Problem, network: Any, samples: int, seed: int, batch: int, limit: float
) -> dict[str, Any]:
    """A method on a problem, stopped after `limit` seconds where it can be: "seconds" for the whole of it,
    "memory_mib", and "whole": False where it did not end, and the rest was taken to be as quick as its first steps."""
    began, done = time.monotonic(), 0.0

    def watch(step: int, total: int) -> None:
        nonlocal done
        done = step / total
        if time.monotonic() - began > limit:
            raise _EnoughError

    with peak_memory(str(problem.y.device)) as memory, suppress(_EnoughError):
        if isinstance(method, PosteriorMethod):
            method(problem, network, samples, seed, batch, watch)
        else:
            method(problem)
            done = 1.0
    seconds = (time.monotonic() - began) / max(done, 1e-9)
    return {"seconds": seconds, "memory_mib": memory.mib, "whole": done == 1}


def together(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several of `tried`, one after the other; {} of none."""
    if not found:
        return {}
    return {
        "seconds": sum(one["seconds"] for one in found),
        "memory_mib": max((one["memory_mib"] or 0 for one in found), default=0) or None,
        "whole": all(one["whole"] for one in found),
    }


class _EnoughError(Exception):
    """The estimate has taken its time."""
