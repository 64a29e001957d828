"""`scanprior benchmark`: methods beside each other on the same slices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..workflows.benchmark.results import BenchmarkResult

INTERVALS = ("psnr",)  # on the terminal; the page has all
WIDTH = 170


def epilog() -> str:
    """The shipped suites for --help, one a line."""
    from ..workflows.benchmark.suite import shipped

    lines = [f"{name}: {title}" for name, title in shipped().items()]
    return "\n\n".join(["Suites, or a TOML file of your own (docs/benchmarks.md):", *lines])


def benchmark(
    suite: Annotated[str, typer.Argument()],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the results; an existing one goes on.")
    ],
    data: Annotated[Path | None, typer.Option(help="Images to test on, instead of the suite's.")] = None,
    methods: Annotated[
        list[str] | None, typer.Option("--method", help="Only these: dds or dds:steps=20,eta=1; repeatable.")
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option("--task", help="Only these tasks of the suite; repeatable.")
    ] = None,
    patients: Annotated[int | None, typer.Option(help="The first n patients.", min=1)] = None,
    slices: Annotated[int | None, typer.Option(help="Slices of each patient.", min=1)] = None,
    samples: Annotated[int | None, typer.Option(help="Posterior samples of each slice.", min=1)] = None,
    prior: Annotated[str | None, typer.Option(help="Bundled name, run folder or .safetensors file.")] = None,
    presets: Annotated[
        bool, typer.Option("--presets/--no-presets", help="Use settings tuned for measurements like these.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
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
    result = run(suite, output, selection, seed=seed, device=device, presets=presets)
    print_tables(result)
    print(f"\nwrote {output}/: report.html, results.csv, results.json, pareto.png, worst/")


def print_tables(result: BenchmarkResult) -> None:
    """The table of each task on stdout."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..report.benchmark import row
    from ..report.table import columns_of, heads

    good = [line for line in result.lines if "error" not in line]
    keys, console = columns_of(good), Console(width=max(Console().width, WIDTH))
    for task in result.suite.tasks:
        table = Table(title=f"{task.name} ({task.spec})", title_justify="left", box=SIMPLE_HEAD)
        for key, head in zip(keys, heads(keys), strict=True):
            table.add_column(escape(head), justify="left" if key == "method" else "right", no_wrap=True)
        own = [line for line in result.lines if line["task"] == task.name]
        for line in own:
            if "error" not in line:
                table.add_row(*row(line, keys, INTERVALS))
        console.print(table)
        for line in own:
            if "error" in line:
                console.print(f"{line['method']}: {line['error']}", markup=False)
