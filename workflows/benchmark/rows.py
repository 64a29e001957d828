"""The rows of a benchmark: every task x slice x method, one file a result, so that a run that was cut goes on and a
changed one repeats only what changed.

A result's name is a hash of all that it depends on: pixels, simulation, method and settings, prior, samples, seed,
version. It is written whole or not at all; several processes may share a folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...formats.write import atomic
from ...modality import Modality
from ...priors.score import Prior
from ...recon.baselines.method import Baseline
from ...recon.family import facts_of
from ...recon.methods import BASELINES
from ...recon.presets import TunedMethod, tuned_method
from ...recon.problem import Problem, Reconstruction
from ..progress import SILENT, Progress
from .cases import Case, cases
from .memory import peak_memory
from .suite import Suite, Task, images_of, split, suits

Row = dict[str, Any]
Measured = Callable[[Task], Iterator[Case]]
LAYOUT = 3  # of a row's file; 3: with what intervals are made of


@dataclass(frozen=True)
class Job:
    """One method on one slice.

    Attributes:
        tuned: the method, and where its settings come from.
        key: the result's name.
    """

    task: Task
    label: str
    case: Case
    tuned: TunedMethod
    prior: Prior | None
    samples: int
    seed: int
    key: str

    @property
    def head(self) -> Row:
        """What a row says before anything is run."""
        case = self.case
        return {
            "settings": self.tuned.method.settings,
            "patient": case.patient,
            "slice": case.index,
            "seed": self.seed,
        }

    def refused(self, error: ValueError) -> Row:
        """The row of a method that refuses the problem."""
        return {**self.head, "error": " ".join(str(error).split())}

    def __call__(self) -> tuple[Row, dict[str, np.ndarray]]:
        """The row, and the pictures `image` (the mean) and `truth` in display units; of several samples the ratios of
        recon/intervals.py with them. A method that refuses the problem, or whose figures are not finite, leaves a row
        with `error`, and no picture."""
        method, case = self.tuned.method, self.case
        arrays: dict[str, np.ndarray] = {}
        row = self.head
        try:
            with peak_memory(case.device) as memory:
                found = solve(method, case.problem, self.prior, self.samples, self.seed)
            one, mean = case.figures(found.samples[:, 0]), case.figures(found.mean)
        except ValueError as error:
            return self.refused(error), {}
        count = found.samples.shape[1]
        row |= {
            "samples": count,
            "nfe": found.nfe,
            "seconds": found.seconds / count,
            "memory_mib": memory.mib,
            "one": one,
        }
        if count > 1:
            row["mean"] = mean
            places = case.calibration(found.samples[0])
            row["calibration"] = {place: figures.to_dict() for place, figures in places.items()}
            row["scan"] = facts_of(case.problem, case.volume.spacing[1:])
            row["effective"] = found.effective
            arrays, row["similarities"] = case.of_intervals(found)
            arrays |= case.kept(found.samples[0])
        pictures = {"image": found.mean, "truth": case.truth}
        return row, {name: case.display(image)[0] for name, image in pictures.items()} | arrays


def solve(method: Any, problem: Problem, prior: Prior | None, samples: int, seed: int) -> Reconstruction:
    """A baseline or a posterior method on a problem."""
    if isinstance(method, Baseline):
        return method(problem)
    assert prior is not None
    return method(problem, prior, samples=samples, seed=seed, batch=samples)


def jobs(
    suite: Suite,
    priors: dict[Modality, tuple[Prior, str]],
    seed: int = 0,
    device: str = "cpu",
    presets: bool = True,
    measured: Measured | None = None,
) -> Iterator[Job]:
    """All of a suite, slice by slice. `priors`: modality -> the prior and the hash of its weights; `measured`: a task's
    slices, by default the suite's."""
    for task in suite.tasks:
        prior, sha = priors.get(task.modality, (None, ""))
        methods: dict[str, TunedMethod] = {}
        for case in (measured or partial(_measured, suite, device))(task):
            if not methods:  # all slices of a task are measured alike
                own = [label for label in suite.methods if suits(label, task.modality)]
                methods = {label: _tuned(label, case.problem, sha, presets) for label in own}
            for label, tuned in methods.items():
                classical = isinstance(tuned.method, Baseline)
                samples = 1 if classical else suite.samples
                settings, weights = tuned.method.settings, "" if classical else sha
                own_seed = case.sampled_with(seed)
                facts = [LAYOUT, case.identity, task.spec, settings, weights, samples, own_seed, __version__]
                key = sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]
                yield Job(task, label, case, tuned, None if classical else prior, samples, own_seed, key)


def _measured(suite: Suite, device: str, task: Task) -> Iterator[Case]:
    return cases(images_of(suite, task.modality), task.simulation, suite.patients, suite.slices, device)


def _tuned(label: str, problem: Problem, sha: str, presets: bool) -> TunedMethod:
    name, options = split(label)
    return tuned_method(name, options, problem, "" if name in BASELINES else sha, presets)


def run(jobs: Sequence[Job], folder: Path, progress: Progress = SILENT) -> list[Row]:
    """The rows of all jobs; what the folder holds already is read.

    Each row has `task`, `label`, `settings`, `patient`, `slice`, `seed`, `nfe`, `seconds` (a sample), `memory_mib`,
    `one` and (with several samples) `mean`: the figures of `Case.figures`, and `calibration`: place -> those of
    `Case.calibration`; for intervals `similarities`, `scan`: what kind it is (recon/family.py), and `effective`: the
    settings as they were used. `key` names its pictures. A file knows neither task nor label: others may have the same
    result.
    """
    rows = folder / "rows"
    rows.mkdir(parents=True, exist_ok=True)
    out = []
    progress.stage("benchmark", len(jobs))
    for done, job in enumerate(jobs):
        progress.update(done, f"{job.task.name}: {job.label}")
        path = rows / f"{job.key}.json"
        if _kept(path) is None:
            row, pictures = job()
            with atomic(rows / f"{job.key}.npz") as temporary:
                np.savez_compressed(temporary, allow_pickle=False, **pictures)
            with atomic(path) as temporary:
                temporary.write_text(
                    json.dumps({**row, "date": time.strftime("%Y-%m-%d")}, indent=1, allow_nan=False)
                )
        known = {"task": job.task.name, "label": job.label, "key": job.key}
        out.append({**json.loads(path.read_text()), **known})
        if done + 1 == len(jobs) or jobs[done + 1].case is not job.case:
            job.case.forget()
    progress.update(len(jobs))
    return out


def there(folder: Path, job: Job) -> Row | None:
    """What an output folder holds of a job already."""
    return _kept(folder / "rows" / f"{job.key}.json")


def _kept(path: Path) -> Row | None:
    """A row that is there, and whole."""
    try:
        row = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) else None


def picture(folder: Path, row: Row, name: str = "image") -> np.ndarray:
    """A row's `image` or `truth`, (H, W), in HU or in parts of the truth's largest magnitude."""
    with np.load(folder / "rows" / f"{row['key']}.npz", allow_pickle=False) as stored:
        return stored[name]
