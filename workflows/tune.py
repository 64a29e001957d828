"""The run behind `scanprior tune`: suite -> validation slices -> trials -> presets. Trials are kept beside the file of
presets, in a journal of Optuna's: a tuning that was cut goes on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..recon.baselines.methods import Baseline
from ..recon.methods import method_of
from ..recon.options import names
from ..recon.presets import Preset, keep, likeness, users
from ..report.progress import counting
from .benchmark.benchmark import chosen, priors_of
from .benchmark.cases import cases
from .benchmark.search import check_tunable, tune
from .benchmark.suite import find_data, read_suite, suits
from .device import device_of


def run_tuning(
    name: str,
    suite_name: str,
    options: str = "",
    *,
    tasks: Sequence[str] = (),
    data: Path | None = None,
    patients: int = 2,
    slices: int = 1,
    trials: int = 20,
    metric: str = "psnr",
    output: Path | None = None,
    prior: str | None = None,
    device: str = "auto",
) -> list[Preset]:
    """Tune for every task of the suite that the method is for, and write a preset of each; returns them."""
    method: Any = method_of(name, options)
    check_tunable(name)
    suite = read_suite(suite_name)
    suite = chosen(suite.but(data=suite.validation), (), tasks, data)
    suite = suite.but(tasks=tuple(task for task in suite.tasks if suits(name, task.modality)))
    if not suite.tasks:
        raise ValueError(f"{name} is for none of the tasks of {suite.name}; choose another suite")
    device = device_of(device)
    priors = {} if isinstance(method, Baseline) else priors_of(suite, prior, device)
    found, target = [], output or users()
    target.parent.mkdir(parents=True, exist_ok=True)
    journal = target.with_name(f".{target.name}.journal")
    fixed = {key: value for key, value in method.settings.items() if key in names(options)}
    with counting() as bar:
        for task in suite.tasks:
            path = find_data(suite.data.get(task.modality, ""))
            own = list(cases(path, task.simulation, patients, slices, device))
            network, card = priors.get(task.modality, (None, None))
            facts = {
                "suite": suite.name,
                "task": task.name,
                "spec": task.spec,
                "metric": metric,
                "slices": len(own),
                "prior": card.sha256 if card else "",
            }
            images = sha256("".join(case.identity for case in own).encode()).hexdigest()[:16]
            study = " ".join(map(str, (name, options, *facts.values(), images)))
            line = bar.add_task(task.name, total=trials)

            def show(done: int, best: float, line: Any = line, task: str = task.name) -> None:
                bar.update(line, completed=done, description=f"{task}: {metric} {best:.3f}")

            best = tune(name, options, own, network, metric, trials, journal, study, show)
            facts |= {"value": best.value, "default": best.default, "trials": best.trials}
            facts["date"] = datetime.now(UTC).date().isoformat()
            preset = Preset(name, likeness(own[0].problem), {**fixed, **best.settings}, facts)
            keep(target, preset)
            found.append(preset)
    _print(name, metric, found)
    print(f"\nwrote {target}" + ("" if output else ": used from now on for scans of these kinds"))
    return found


def _print(name: str, metric: str, presets: list[Preset]) -> None:
    table = Table(title=f"{name}, {metric} on validation slices", title_justify="left")
    for head in ("task", "as it is", "tuned", "settings"):
        table.add_column(head, justify="left" if head in ("task", "settings") else "right")
    for preset in presets:
        settings = ", ".join(f"{key}={value:.3g}" for key, value in preset.settings.items()) or "as it is"
        table.add_row(
            preset.found["task"], *(f"{preset.found[k]:.3f}" for k in ("default", "value")), settings
        )
    Console(width=max(Console().width, 100)).print(table)
