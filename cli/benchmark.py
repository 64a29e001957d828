"""`scanprior benchmark`: methods beside each other on the same slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    from ..workflows.benchmark.results import BenchmarkResult

__all__ = ["benchmark", "epilog"]
INTERVALS = ("psnr",)  # on the terminal; the page has all


@verb
def benchmark(
    suite: SuiteName,
    *,
    output: Output,
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
    """Run a suite of measurements and methods: a table with intervals over patients, PSNR against evaluations and
    seconds, the worst slices, all figures as CSV and JSON, an HTML report.

    Kill it and run it again: it goes on where it was. Another setting repeats only what it changes.

    \b
    Examples:
      scanprior benchmark quick -o bench/
      scanprior benchmark ct-sparse -o bench/ --patients 2 --method fbp --method dds --method dps:steps=200
      scanprior benchmark mri-4x -o bench/ --data my_test_images.h5 --samples 4
    """
    from ..workflows.benchmark.results import Selection
    from ..workflows.benchmark.results import benchmark as run

    selection = Selection(data, methods or (), tasks or (), patients, slices, samples, prior)
    result = run(suite, output, selection, seed=seed, device=device, presets=presets, progress=console)
    wrote = f"wrote {output}/: report.html, results.csv, results.json, pareto.png, worst/"
    console.give({"output": str(output), "table": result.lines}, f"{in_words(result)}\n{wrote}")


def in_words(result: BenchmarkResult) -> str:
    """The table of each task."""
    from ..report.benchmark import row
    from ..report.table import columns_of, heads
    from .suites import table

    keys = columns_of(line for line in result.lines if "error" not in line)
    out = []
    for task in result.suite.tasks:
        own = [line for line in result.lines if line["task"] == task.name]
        rows = [row(line, keys, INTERVALS) for line in own if "error" not in line]
        out.append(table(f"{task.name} ({task.spec})", heads(keys), rows))
        out += [f"{line['method']}: {line['error']}\n" for line in own if "error" in line]
    return "".join(out)
