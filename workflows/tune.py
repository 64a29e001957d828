"""A method's settings for measurements like those of a suite: suite -> validation slices -> trials -> presets.

Trials are kept beside the file of presets, in a journal of Optuna's: a tuning that was cut goes on. What was found on
fewer than LEAST_PATIENTS patients is given back and not kept (recon/presets.py).
"""

from __future__ import annotations

from contextlib import closing
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
from .benchmark.cases import Case, cases
from .benchmark.results import Selection, priors_of
from .benchmark.search import Search
from .benchmark.suite import Suite, Task, images_of, read_suite, suits
from .device import device_of
from .estimate import together, tried
from .progress import Progress, told

TRIED = 5.0  # seconds that an estimate may take, a task


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

    def rows(self) -> list[list[str]]:
        """In words, one a task: its name, the settings, the patients, the metric without them and with them."""
        out = []
        for one in self.presets:
            settings = ",".join(f"{key}={value:.3g}" for key, value in one.settings.items())
            values = (f"{one.found[key]:.4g}" for key in ("default", "value"))
            out.append([one.found["task"], settings or "as it is", str(one.patients), *values])
        return out

    def outcome(self) -> str:
        """What becomes of it."""
        few = min(one.patients for one in self.presets)
        if not self.kept:
            return f"not kept, found on {few} patients: a preset needs {LEAST_PATIENTS}; give the settings by --options"
        used = self.path == user_presets_path()
        return f"wrote {self.path}" + (": used from now on for scans of these kinds" if used else "")


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
    part, device = part_of(method, suite, selection, how), device_of(device)
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


def part_of(method: str, suite: str, selection: Selection, how: Search) -> Suite:
    """The tasks of a suite that a method is for, on its validation images. Raises as `tune`."""
    search.check_tunable(method, how.metric)
    if selection.patients is None:
        selection = replace(selection, patients=LEAST_PATIENTS)
    part = read_suite(suite)
    part = selection.of(part.but(data=part.validation))
    part = part.but(tasks=tuple(task for task in part.tasks if suits(method, task.modality)))
    if not part.tasks:
        raise ValueError(f"{method} is for none of the tasks of {part.name}; choose another suite")
    return part


def planned(
    method: str,
    suite: str,
    options: str = "",
    selection: Selection | None = None,
    how: Search | None = None,
    *,
    output: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What `tune` would do, JSON-able: "tuned", the settings and their bounds; "tasks", each with its "measurement",
    "patients", "slices", "trials" and how many of these are "there_already"; and "estimate", from a quick try. Raises
    as `tune`."""
    selection, how = selection or Selection(), how or Search()
    plain: Any = method_of(method, options)
    part, device = part_of(method, suite, selection, how), device_of(device)
    bounds = search.space_of(method, options)
    with closing(told(progress)) as telling:
        telling.stage("planning")
        priors = {} if isinstance(plain, Baseline) else priors_of(part, selection.prior, device)
        target, tasks, found = output or user_presets_path(), {}, []
        for task in part.tasks:
            telling.stage(f"estimating: {task.name}")
            run = _Run(method, options, part, task, how)
            own, (network, card) = _cases(run, device), priors.get(task.modality, (None, None))
            facts, study = _study(run, own, card)
            done = search.finished(_journal(target), study)
            samples = search.samples_of(how)
            one = tried(plain, own[0].problem, network, samples, 0, samples, TRIED)
            found.append({**one, "seconds": one["seconds"] * len(own) * max(0, how.trials + 1 - done)})
            told_of = {key: facts[key] for key in ("patients", "slices")}
            tasks[task.name] = {
                "measurement": task.spec,
                **told_of,
                "trials": how.trials,
                "there_already": done,
            }
    return {
        "method": f"{method}:{options}" if options else method,
        "metric": how.metric,
        "tuned": {key: f"{low:g} to {high:g}" for key, (low, high) in bounds.items()},
        "tasks": tasks,
        "estimate": together(found),
    }


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
    own, how = _cases(run, device), run.how
    network, card = priors.get(run.task.modality, (None, None))
    facts, study = _study(run, own, card)
    progress.stage(run.task.name, how.trials)

    def tell(done: int, value: float) -> None:
        progress.update(done, f"{how.metric} {value:.4g}")

    best = search.tune(run.method, run.options, own, network, how, _journal(target), study, tell)
    facts |= {"value": best.value, "default": best.default, "trials": best.trials}
    facts["date"] = datetime.now(UTC).date().isoformat()
    given = fixed_settings(method_of(run.method, run.options), best.settings)
    prior = card.sha256 if card else ""
    preset = Preset(run.method, prior, likeness(own[0].problem), given, best.settings, facts)
    if preset.patients >= LEAST_PATIENTS:
        keep(target, preset)
    return preset


def _cases(run: _Run, device: str) -> list[Case]:
    """The slices to tune on."""
    paths = images_of(run.suite, run.task.modality)
    return list(cases(paths, run.task.simulation, run.suite.patients, run.suite.slices, device))


def _study(run: _Run, own: list[Case], card: Any) -> tuple[dict[str, Any], str]:
    """What is tuned, for the preset, and its name in the journal: a function of all that the trials depend on."""
    facts = {
        "suite": run.suite.name,
        "task": run.task.name,
        "spec": run.task.spec,
        "metric": run.how.metric,
        "patients": len({case.patient for case in own}),
        "slices": len(own),
    }
    images = sha256("".join(case.identity for case in own).encode()).hexdigest()[:16]
    prior = card.sha256 if card else ""
    return facts, " ".join(map(str, (run.method, run.options, *facts.values(), prior, images)))


def _journal(target: Path) -> Path:
    """Where the trials for a file of presets are."""
    return target.with_name(f".{target.name}.journal")
