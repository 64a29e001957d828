"""`scanprior calibrate`: is the spread of the samples right?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .console import Console
from .suites import (
    Data,
    Device,
    Methods,
    Output,
    Patients,
    Presets,
    Prior,
    Samples,
    Seed,
    Slices,
    SuiteName,
    Tasks,
)
from .suites import suites_epilog as epilog
from .verb import HIDDEN, verb

if TYPE_CHECKING:
    from ..workflows.calibrate import CalibrationResult

__all__ = ["calibrate", "epilog"]
SHOWN = ("inside", "discs of 5 mm", "discs of 10 mm")  # on the terminal; all places are on the page
KEYS = ["place", *(f"coverage_{level}" for level in (50, 80, 90, 95)), "spread_skill", "crps", "uniformity"]


@verb
def calibrate(
    suite: SuiteName,
    *,
    output: Output,
    on: Annotated[
        Literal["test", "calibration", "prior"],
        typer.Option(help="The suite's patients, or images that the prior draws (--patients of them)."),
    ] = "test",
    data: Data = None,
    methods: Methods = None,
    tasks: Tasks = None,
    patients: Patients = None,
    slices: Slices = None,
    samples: Samples = None,
    prior: Prior = None,
    presets: Presets = True,
    seed: Seed = 0,
    device: Device = "auto",
    console: Console = HIDDEN,
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
    result = run(suite, output, selection, on, seed=seed, device=device, presets=presets, progress=console)
    wrote = f"wrote {output}/: report.html, calibration.csv, calibration.json, ranks/, spectra/"
    console.give(
        {"output": str(output), "lines": result.lines, "errors": result.errors},
        f"{in_words(result)}\n{wrote}",
    )


def in_words(result: CalibrationResult) -> str:
    """The table of each task."""
    from ..recon.sbc import QUANTITIES, TARP
    from ..report.table import cells, columns_of, heads
    from .suites import table

    out = []
    for task in result.suite.tasks:
        places = (*SHOWN, *QUANTITIES, TARP)
        own = [line for line in result.lines if line["task"] == task.name and line["place"] in places]
        keys = columns_of(own, KEYS)
        rows = [[line["label"] if line["place"] == SHOWN[0] else "", *cells(line, keys)] for line in own]
        out.append(table(f"{task.name} ({task.spec})", ["method", *heads(keys)], rows, left=2))
    return "".join([*out, *(f"{line}\n" for line in result.errors)])
