"""The run behind `scanprior benchmark`: suite -> rows -> table, pictures, report.

The output folder holds `rows/` (a file a result), `results.csv` (every slice), `results.json` (the table and what was
run), `pareto.png`, `worst/` and `report.html`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ... import __version__
from ...pretrained.load import default_for, load_any
from ...report.figures import pareto
from ...report.page import write_sidecar
from ...report.progress import counting
from ..device import device_of
from ..output import check_output
from .page import show, worst_slices, write_benchmark_report
from .run import jobs, run
from .suite import Suite, method_from_label, read_suite
from .table import summary, write_csv

MODALITIES = {"ct": "CT", "mri": "MR"}


def run_benchmark(
    name: str,
    output: Path,
    *,
    data: Path | None = None,
    methods: Sequence[str] = (),
    tasks: Sequence[str] = (),
    prior: str | None = None,
    seed: int = 0,
    device: str = "auto",
    **limits: int | None,
) -> list[dict[str, Any]]:
    """Run a suite (`limits`: patients, slices, samples) and write the output folder; returns the table's lines."""
    suite = chosen(read_suite(name), methods, tasks, data).but(**limits)
    if not (output / "rows").is_dir():
        check_output(output, overwrite=False)
    device = device_of(device)
    priors = priors_of(suite, prior, device)
    hashes = {key: (prior, card.sha256) for key, (prior, card) in priors.items()}
    todo = list(jobs(suite, hashes, seed, device))
    output.mkdir(exist_ok=True)
    with counting() as bar:
        line = bar.add_task("", total=None)
        rows = run(
            todo, output, lambda done, of, what: bar.update(line, completed=done, total=of, description=what)
        )
    lines = summary(suite, rows)
    show(suite, lines)
    write_csv(output / "results.csv", rows)
    facts = {
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
            key: {"name": card.name, "sha256": card.sha256, "network_dtype": str(network.dtype)}
            for key, (network, card) in priors.items()
        },
        "settings": {f"{row['task']}: {row['label']}": row["settings"] for row in rows},
    }
    write_sidecar(output / "results.json", {**facts, "table": lines, "rows": rows})
    pareto(output / "pareto.png", [line for line in lines if "error" not in line])
    # names of the user's files and folders may be of patients: they stay out of the page
    asked = {"output": "OUTPUT", "data": data and "DATA", "prior": prior and Path(prior).name}
    asked |= {"seed": seed, "device": device, **limits}
    words = [f"--{key}={value}" for key, value in asked.items() if value is not None]
    words += [f"--method={label}" for label in methods] + [f"--task={task}" for task in tasks]
    command = shlex.join(["scanprior", "benchmark", Path(name).name, *words])
    write_benchmark_report(output, suite, lines, worst_slices(output, suite, rows), facts, command)
    print(f"\nwrote {output}/: report.html, results.csv, results.json, pareto.png, worst/")
    return lines


def chosen(suite: Suite, methods: Sequence[str], tasks: Sequence[str], data: Path | None) -> Suite:
    """The part of a suite that was asked for. Raises ValueError for an unknown task or method."""
    names = [task.name for task in suite.tasks]
    if unknown := [task for task in tasks if task not in names]:
        raise ValueError(f"--task: got {unknown[0]!r}, {suite.name} has {'; '.join(names)}")
    for label in methods:
        method_from_label(label)
    kept = tuple(task for task in suite.tasks if not tasks or task.name in tasks)
    if data is not None:
        if len({task.modality for task in kept}) > 1:
            raise ValueError(f"--data: {suite.name} has CT and MRI tasks; choose those of one with --task")
        return suite.but(tasks=kept, methods=tuple(methods) or None, data={kept[0].modality: str(data)})
    return suite.but(tasks=kept, methods=tuple(methods) or None)


def priors_of(suite: Suite, prior: str | None, device: str) -> dict[str, tuple[Any, Any]]:
    """Modality -> prior and card. Raises ValueError for a prior of another modality."""
    out = {}
    for key in dict.fromkeys(task.modality for task in suite.tasks):
        found, card = load_any(prior or default_for(MODALITIES[key]))
        if card.modality != MODALITIES[key]:
            raise ValueError(
                f"prior {card.name!r} is of {card.modality} images, but {suite.name} has {MODALITIES[key]} tasks; "
                "choose those of one modality with --task"
            )
        found.for_inference(device)
        out[key] = (found, card)
    return out
