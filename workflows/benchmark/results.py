"""Methods beside each other: suite -> rows -> table, pictures, page.

The output folder holds `rows/` (a file a result), `results.csv` (every slice), `results.json` (the table and what was
run), `pareto.png`, `worst/` and `report.html`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ... import __version__
from ...modality import Modality
from ...pretrained.load import default_for, load_any
from ...priors.precision import dtype_name
from ...recon.metrics import WINDOW_HU
from ...report.benchmark import write_benchmark_page
from ...report.curves import pareto
from ...report.figures import overview, save
from ...report.page import write_sidecar
from ..device import device_of
from ..output import check_output
from ..progress import Progress, told
from ..settings import Selection
from .rows import Job, Row, jobs, picture, run
from .suite import Suite, read_suite
from .table import FLOOR, final, ranked, summary, write_csv

RAN = ("seed", "samples", "device", "threads", "torch")


@dataclass(frozen=True)
class BenchmarkResult:
    """A benchmark that was run.

    Attributes:
        suite: what was run of it.
        lines: of the table, one a task, method and picture (table.py).
        rows: one a task, method and slice (rows.py).
        folder: where all of it lies.
    """

    suite: Suite
    lines: list[dict[str, Any]]
    rows: list[Row]
    folder: Path


def benchmark(
    suite: str,
    output: Path | str,
    selection: Selection | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    presets: bool = True,
    progress: Progress | None = None,
) -> BenchmarkResult:
    """Run a suite, shipped or a TOML file, and write the output folder; what the folder holds already is not run again.

    Raises:
        ValueError: an unknown suite, task or method, a prior of another modality.
        FileNotFoundError: images that are not there.
        FileExistsError: a folder with anything else in it.
    """
    selection, progress, output = selection or Selection(), told(progress), Path(output)
    chosen = selection.of(read_suite(suite))
    rows, facts = run_suite(chosen, output, selection.prior, seed, device, presets, progress)
    lines = summary(chosen, rows)
    write_csv(output / "results.csv", rows)
    write_sidecar(output / "results.json", {**facts, "table": lines, "rows": rows})
    pareto(output / "pareto.png", [line for line in lines if "error" not in line])
    command = command_of(
        "benchmark", suite, selection, {"seed": seed, "device": facts["device"], "no-presets": not presets}
    )
    _write_page(output, chosen, lines, rows, {**facts, "command": command})
    return BenchmarkResult(chosen, lines, rows, output)


def run_suite(
    suite: Suite,
    output: Path,
    prior: str | None,
    seed: int,
    device: str,
    presets: bool,
    progress: Progress,
    jobs: Callable[..., Iterable[Job]] = jobs,
) -> tuple[list[Row], dict[str, Any]]:
    """The rows of a suite, kept in `output`, and the facts of the run; `jobs` makes what is done on its slices. Raises
    as `benchmark`."""
    if not (output / "rows").is_dir():
        check_output(output, overwrite=False)
    device = device_of(device)
    priors = priors_of(suite, prior, device)
    hashes = {key: (network, card.sha256) for key, (network, card) in priors.items()}
    todo = list(jobs(suite, hashes, seed, device, presets))
    output.mkdir(exist_ok=True)
    settled = presets_of(todo, progress)
    try:
        rows = run(todo, output, progress)
    finally:
        progress.close()
    return rows, {
        "suite": suite.name,
        "title": suite.title,
        "tasks": {task.name: task.spec for task in suite.tasks},
        "samples": suite.samples,
        "seed": seed,
        "scanprior": __version__,
        "torch": torch.__version__,
        "device": device,
        "threads": torch.get_num_threads(),
        "priors": {
            key.kind: {"name": card.name, "sha256": card.sha256, "network_dtype": dtype_name(network.dtype)}
            for key, (network, card) in priors.items()
        },
        "presets": settled,
        "settings": {f"{row['task']}: {row['label']}": row["settings"] for row in rows},
    }


def presets_of(todo: Sequence[Job], progress: Progress) -> dict[str, str]:
    """Where settings come from, by task and method; says which presets are used."""
    found: dict[str, str] = {}
    for job in todo:
        what = f"{job.task.name}: {job.label}"
        if job.tuned.line and what not in found:
            found[what] = job.tuned.line
            if job.tuned.preset is not None:
                progress.say(f"{what}: {job.tuned.line}")
    return found


def priors_of(suite: Suite, prior: str | None, device: str) -> dict[Modality, tuple[Any, Any]]:
    """Modality -> prior and card. Raises ValueError for a prior of another modality."""
    out = {}
    for key in dict.fromkeys(task.modality for task in suite.tasks):
        found, card = load_any(default_for(key) if prior is None else prior)
        if card.modality != key:
            raise ValueError(
                f"prior {card.name!r} is of {card.modality} images, but {suite.name} has {key} tasks; "
                "choose those of one modality with --task"
            )
        found.for_inference(device)
        out[key] = (found, card)
    return out


def command_of(verb: str, suite: str, selection: Selection, more: dict[str, Any]) -> str:
    """The command line. Names of the user's files and folders may be of patients: they stay out of it."""
    asked: dict[str, Any] = {
        "output": "OUTPUT",
        "data": selection.data and "DATA",
        "prior": selection.prior and Path(selection.prior).name,
        **more,
        "patients": selection.patients,
        "slices": selection.slices,
        "samples": selection.samples,
    }
    said = {key: value for key, value in asked.items() if value is not None and value is not False}
    words = [f"--{key}" if value is True else f"--{key}={value}" for key, value in said.items()]
    words += [f"--method={label}" for label in selection.methods]
    words += [f"--task={task}" for task in selection.tasks]
    return shlex.join(["scanprior", verb, Path(suite).name, *words])


def _write_page(
    folder: Path, suite: Suite, lines: list[dict[str, Any]], rows: list[Row], facts: dict[str, Any]
) -> None:
    """`worst/` and `report.html`."""
    pictures = draw_worst(folder, suite, rows)
    tasks = [
        {
            "task": task.name,
            "spec": task.spec,
            "lines": [line for line in lines if line["task"] == task.name],
            "picture": pictures.get(task.name),
        }
        for task in suite.tasks
    ]
    write_benchmark_page(folder, {**facts, "tasks": tasks, "run": {key: facts[key] for key in RAN}})


def draw_worst(folder: Path, suite: Suite, rows: Sequence[Row]) -> dict[str, str]:
    """A picture a task: the slice where the best method does worst, by FBP or zero-filling and the four best. Returns
    task -> file in the folder."""
    (folder / "worst").mkdir(exist_ok=True)
    out = {}
    for task in suite.tasks:
        found = ranked(rows, task.name)
        if not found:
            continue
        floor = [row for row in found if row["label"] == FLOOR[task.modality]]
        shown = floor + [row for row in found if row not in floor][: 5 - len(floor)]
        ct = task.modality is Modality.CT
        out[task.name] = f"worst/{len(out) + 1}.png"
        figure = overview(
            {row["label"]: picture(folder, row) for row in shown},
            truth=picture(folder, shown[0], "truth"),
            std=None,
            window=WINDOW_HU if ct else (0.0, 1.0),
            units="HU" if ct else "of the largest magnitude",
            title=f"{task.name}: patient {found[0]['patient']}, slice {found[0]['slice']}",
            captions={
                row["label"]: f"{final(row)['psnr']:.2f} dB · SSIM {final(row)['ssim']:.3f}" for row in shown
            },
        )
        save(figure, folder / out[task.name])
    return out
