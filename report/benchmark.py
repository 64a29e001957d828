"""The page of a benchmark: a table a task, the picture of its worst slice, what was run.

`facts`:

    title, suite    of the suite
    tasks           one dict a task: task, spec, lines (workflows/benchmark/table.py), picture (a PNG of the folder, or
                    None)
    run, priors, settings, presets      tables of facts
    command         the command line
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from .. import __version__
from ..recon.metrics import WINDOW_HU
from .page import BANNERS, embedded, sections_of, write_page
from .table import COLUMNS, cells, columns_of, heads
from .terminal import wide

BELOW = " ▼"


def row(line: dict[str, Any], keys: list[str], intervals: Container[str] = COLUMNS) -> list[str]:
    """A line in words (`cells`); ▼ where it is below FBP or zero-filling."""
    first, *others = cells(line, keys, intervals)
    return [first + (BELOW if line.get("floor") == "below" else ""), *others]


def on_terminal(specs: dict[str, str], lines: list[dict[str, Any]]) -> Iterator[str]:
    """The table of each task, and what went wrong in it. `specs`: task -> its measurement."""
    keys = columns_of(line for line in lines if "error" not in line)
    for task, spec in specs.items():
        own = [line for line in lines if line["task"] == task]
        yield wide(
            heads(keys), [row(x, keys, ("psnr",)) for x in own if "error" not in x], f"{task} ({spec})"
        )
        yield from (f"{line['method']}: {line['error']}" for line in own if "error" in line)


def write_benchmark_page(folder: Path, facts: dict[str, Any]) -> None:
    """`report.html`. Raises FileNotFoundError for a picture that is not in the folder."""
    keys = columns_of([line for task in facts["tasks"] for line in task["lines"] if "error" not in line])
    low, high = WINDOW_HU
    shown = {
        "title": facts["title"],
        "banner": BANNERS["posterior"],
        "subtitle": f"benchmark {facts['suite']} · scanprior {__version__}",
        "pareto": embedded(folder / "pareto.png"),
        "tables": [_table(folder, task, keys) for task in facts["tasks"]],
        "columns": heads(keys),
        "conventions": f"PSNR, SSIM (7 x 7 uniform windows) and VIF of images clipped to {low:g} to {high:g} HU, or of "
        "magnitudes with the largest of the truth as range.",
        "calibrated": "coverage_90" in keys,
        "sections": sections_of(
            {name.capitalize(): facts[name] for name in ("run", "priors", "presets", "settings")}
        ),
        "command": facts["command"],
    }
    write_page(folder / "report.html", "benchmark.html", shown)


def _table(folder: Path, task: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    good = [line for line in task["lines"] if "error" not in line]
    best = max((line["psnr"] for line in good), default=None)
    return {
        "task": task["task"],
        "spec": task["spec"],
        "slices": good[0]["slices"] if good else 0,
        "patients": good[0]["patients"] if good else 0,
        "rows": [{"cells": row(line, keys), "best": line["psnr"] == best} for line in good],
        "errors": [f"{line['method']}: {line['error']}" for line in task["lines"] if "error" in line],
        "picture": embedded(folder / task["picture"]) if task["picture"] else None,
    }
