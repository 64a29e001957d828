"""What a benchmark, a calibration or a tuning would do, before it does it: nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from statistics import mean
from typing import Any

from ...recon.options import written
from ..device import device_of
from ..estimate import together, tried
from ..output import check_output
from ..progress import Progress, told
from .results import priors_of
from .rows import Job, Row, jobs, there
from .suite import Suite

TRIED = 3.0  # seconds that a method of a task may be tried for


def planned(
    suite: Suite,
    output: Path | None,
    prior: str | None = None,
    seed: int = 0,
    device: str = "auto",
    presets: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What `run_suite` would do, JSON-able: "tasks", each with its "measurement", "patients", "slices" and "methods"
    with their settings; how many "results" there are in all, and how many "there_already"; and "estimate", from the
    rows that are there and from a quick try of what is in none. Raises as `run_suite`."""
    if output is not None and not (output / "rows").is_dir():
        check_output(output, overwrite=False)
    with closing(told(progress)) as telling:
        telling.stage("planning")
        device = device_of(device)
        priors = priors_of(suite, prior, device)
        hashes = {key: (network, card.sha256) for key, (network, card) in priors.items()}
        todo = list(jobs(suite, hashes, seed, device, presets))
        rows = [None if output is None else there(output, job) for job in todo]
        tasks = {task.name: [job for job in todo if job.task.name == task.name] for task in suite.tasks}
        return {
            "suite": suite.name,
            "samples": suite.samples,
            "device": device,
            "tasks": {name: _about(own) for name, own in tasks.items() if own},
            "results": len(todo),
            "there_already": sum(row is not None for row in rows),
            "estimate": _estimate(todo, rows, telling),
        }


def _about(own: Sequence[Job]) -> dict[str, Any]:
    """Of the jobs of a task."""
    return {
        "measurement": own[0].task.spec,
        "patients": len({job.case.patient for job in own}),
        "slices": len({job.case.index for job in own}),
        "methods": {job.label: _settings(job) for job in own},
    }


def _settings(job: Job) -> str:
    """A method's settings as --options takes them, and where they come from."""
    said = {key: value for key, value in job.tuned.method.settings.items() if key != "method"}
    text = ",".join(f"{key}={written(value)}" for key, value in said.items() if value is not None)
    return f"{text}; {job.tuned.line}" if job.tuned.line else text


def _estimate(todo: Sequence[Job], rows: Iterable[Row | None], progress: Progress) -> dict[str, Any]:
    """What the jobs take that are not there yet (workflows/estimate.py); {} where none is left."""
    kinds: dict[tuple[str, str], list[tuple[Job, Row | None]]] = {}
    for job, row in zip(todo, rows, strict=True):
        kinds.setdefault((job.task.name, job.label), []).append((job, row))
    left = {key: [job for job, row in own if row is None] for key, own in kinds.items()}
    found = []
    progress.stage("estimating", len(kinds))
    for done, (key, own) in enumerate(kinds.items()):
        progress.update(done, ": ".join(key))
        if left[key]:
            known = [row for _, row in own if row is not None and "error" not in row]
            one = _of_rows(known) if known else _of_job(left[key][0])
            found.append({**one, "seconds": one["seconds"] * len(left[key])})
    return together(found)


def _of_rows(known: Sequence[Row]) -> dict[str, Any]:
    """What such a slice took, from others of its kind."""
    seconds = mean(row["seconds"] * row["samples"] for row in known)
    return {"seconds": seconds, "memory_mib": known[0]["memory_mib"], "whole": True}


def _of_job(job: Job) -> dict[str, Any]:
    """What a slice takes, by trying; nothing where the method refuses it, as it will in the run."""
    try:
        return tried(job.tuned.method, job.case.problem, job.prior, job.samples, job.seed, job.samples, TRIED)
    except ValueError:
        return {"seconds": 0.0, "memory_mib": None, "whole": True}
    finally:
        job.case.forget()
