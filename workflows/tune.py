"""A method's settings for measurements like those of a suite: suite -> validation slices -> trials -> presets.

Trials are kept beside the file of presets, in a journal of Optuna's: a tuning that was cut goes on. What was found on
fewer than LEAST_PATIENTS patients is given back and not kept (recon/presets.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..modality import Modality
from ..recon.baselines.method import Baseline
from ..recon.methods import method_of
from ..recon.presets import LEAST_PATIENTS, Preset, fixed_settings, keep, likeness, user_presets_path
from .benchmark import search
from .benchmark.cases import cases
from .benchmark.results import Selection, priors_of
from .benchmark.search import Search
from .benchmark.suite import Suite, Task, find_data, read_suite, suits
from .device import device_of
from .progress import Progress, told


@dataclass(frozen=True)
class Tuned:
    """What was found.

    Attributes:
        presets: one a task.
        path: the file that they are in.
        kept: False: they are in no file, since there were too few patients for a preset.
    """

    presets: list[Preset]
    path: Path
    kept: bool


def tune(
    method: str,
    suite: str,
    options: str = "",
    selection: Selection | None = None,
    how: Search | None = None,
    *,
    output: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Tuned:
    """Tune what `options` leaves open, for every task of the suite that the method is for.

    Args:
        selection: of the suite's validation images; without a word LEAST_PATIENTS patients.
        output: file of presets; None: that which `reconstruct` reads.

    Raises:
        ValueError: an unknown suite, task or method, one without anything to tune, images of another modality.
        FileNotFoundError: images that are not there.
    """
    selection, how, progress = selection or Selection(), how or Search(), told(progress)
    plain: Any = method_of(method, options)
    search.check_tunable(method, how.metric)
    if selection.patients is None:
        selection = replace(selection, patients=LEAST_PATIENTS)
    part = read_suite(suite)
    part = selection.of(part.but(data=part.validation))
    part = part.but(tasks=tuple(task for task in part.tasks if suits(method, task.modality)))
    if not part.tasks:
        raise ValueError(f"{method} is for none of the tasks of {part.name}; choose another suite")
    device = device_of(device)
    priors = {} if isinstance(plain, Baseline) else priors_of(part, selection.prior, device)
    target = output or user_presets_path()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = [
            _tuned(_Run(method, options, part, task, how), priors, device, target, progress)
            for task in part.tasks
        ]
    finally:
        progress.close()
    return Tuned(found, target, all(one.patients >= LEAST_PATIENTS for one in found))


@dataclass(frozen=True)
class _Run:
    """The tuning of one task of a suite."""

    method: str
    options: str
    suite: Suite
    task: Task
    how: Search


def _tuned(run: _Run, priors: dict[Modality, Any], device: str, target: Path, progress: Progress) -> Preset:
    """The preset of a task, kept where it is of patients enough."""
    suite, task, how = run.suite, run.task, run.how
    path = find_data(suite.data.get(task.modality, ""))
    own = list(cases(path, task.simulation, suite.patients, suite.slices, device))
    network, card = priors.get(task.modality, (None, None))
    facts = {
        "suite": suite.name,
        "task": task.name,
        "spec": task.spec,
        "metric": how.metric,
        "patients": len({case.patient for case in own}),
        "slices": len(own),
    }
    images = sha256("".join(case.identity for case in own).encode()).hexdigest()[:16]
    prior = card.sha256 if card else ""
    study = " ".join(map(str, (run.method, run.options, *facts.values(), prior, images)))
    progress.stage(task.name, how.trials)

    def tell(done: int, value: float) -> None:
        progress.update(done, f"{how.metric} {value:.4g}")

    journal = target.with_name(f".{target.name}.journal")
    best = search.tune(run.method, run.options, own, network, how, journal, study, tell)
    facts |= {"value": best.value, "default": best.default, "trials": best.trials}
    facts["date"] = datetime.now(UTC).date().isoformat()
    given = fixed_settings(method_of(run.method, run.options), best.settings)
    preset = Preset(run.method, prior, likeness(own[0].problem), given, best.settings, facts)
    if preset.patients >= LEAST_PATIENTS:
        keep(target, preset)
    return preset
