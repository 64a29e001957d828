"""`scanprior calibrate`: is the spread of the samples right?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .benchmark import WIDTH
from .benchmark import epilog as epilog

if TYPE_CHECKING:
    from ..workflows.calibrate import CalibrationResult

SHOWN = ("inside", "discs of 5 mm", "discs of 10 mm")  # on the terminal; all places are on the page
KEYS = ["place", *(f"coverage_{level}" for level in (50, 80, 90, 95)), "spread_skill", "crps"]


def calibrate(
    suite: Annotated[str, typer.Argument()],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the results; an existing one goes on.")
    ],
    on: Annotated[
        Literal["test", "calibration"], typer.Option(help="Which of the suite's patients.")
    ] = "test",
    data: Annotated[Path | None, typer.Option(help="Images instead of the suite's.")] = None,
    methods: Annotated[
        list[str] | None, typer.Option("--method", help="Only these: dds or dds:steps=20,eta=1; repeatable.")
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option("--task", help="Only these tasks of the suite; repeatable.")
    ] = None,
    patients: Annotated[int | None, typer.Option(help="The first n patients.", min=1)] = None,
    slices: Annotated[int | None, typer.Option(help="Slices of each patient.", min=1)] = None,
    samples: Annotated[int | None, typer.Option(help="Posterior samples of each slice.", min=2)] = None,
    prior: Annotated[str | None, typer.Option(help="Bundled name, run folder or .safetensors file.")] = None,
    presets: Annotated[
        bool, typer.Option("--presets/--no-presets", help="Use settings tuned for measurements like these.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
) -> None:
    """Measure how well a suite's posterior methods know how far they may be wrong: how often the truth lies in their
    intervals, spread over error, fair CRPS, ranks; by region, over discs of 3, 5 and 10 mm, by frequency.

    Kill it and run it again: it goes on where it was.

    \b
    Examples:
      scanprior calibrate quick --method dds -o calibration/
      scanprior calibrate ct-sparse --on calibration --samples 16 -o calibration/
    """
    from ..workflows.benchmark.results import Selection
    from ..workflows.calibrate import calibrate as run

    selection = Selection(data, methods or (), tasks or (), patients, slices, samples, prior)
    result = run(suite, output, selection, on, seed=seed, device=device, presets=presets)
    print_tables(result)
    print(f"\nwrote {output}/: report.html, calibration.csv, calibration.json, ranks/")


def print_tables(result: CalibrationResult) -> None:
    """The table of each task on stdout."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..report.table import cells, heads

    console = Console(width=max(Console().width, WIDTH))
    for task in result.suite.tasks:
        table = Table(title=f"{task.name} ({task.spec})", title_justify="left", box=SIMPLE_HEAD)
        for head in ("method", *heads(KEYS)):
            table.add_column(
                escape(head), justify="left" if head in ("method", "where") else "right", no_wrap=True
            )
        for line in result.lines:
            if line["task"] == task.name and line["place"] in SHOWN:
                first = line["label"] if line["place"] == SHOWN[0] else ""
                table.add_row(first, *cells(line, KEYS))
        console.print(table)
    for line in result.errors:
        console.print(line, markup=False)
