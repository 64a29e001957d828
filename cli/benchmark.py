"""`scanprior benchmark`: methods beside each other on the same slices."""

from __future__ import annotations

from ..workflows.settings import Selection
from .console import Console
from .options import Device
from .suites import Output, Presets, Seed, SuiteName, selected
from .suites import suites_epilog as epilog
from .verb import HIDDEN, NONE, DryRun, verb

__all__ = ["benchmark", "epilog"]


@verb
@selected
def benchmark(
    suite: SuiteName,
    selection: Selection,
    output: Output = NONE,
    presets: Presets = True,
    seed: Seed = 0,
    device: Device = "auto",
    dry_run: DryRun = False,
    console: Console = HIDDEN,
) -> None:
    """Run a suite of measurements and methods: a table with intervals over patients, PSNR against evaluations and
    seconds, the worst slices, all figures as CSV and JSON, an HTML report.

    Kill it and run it again: it goes on where it was. Another setting repeats only what it changes.

    \b
    Examples:
      scanprior benchmark quick -o bench/
      scanprior benchmark ct-sparse -o bench/ --method dds --method dps:steps=200
      scanprior benchmark mri-4x -o bench/ --data my_images.h5 --patients 2
    """
    from ..report.benchmark import on_terminal
    from ..workflows.benchmark.planned import planned
    from ..workflows.benchmark.results import benchmark as run
    from ..workflows.benchmark.suite import read_suite

    if dry_run:
        part = selection.of(read_suite(suite))
        console.plan(planned(part, output, selection.prior, seed, device, presets, console))
        return
    result = run(suite, output, selection, seed=seed, device=device, presets=presets, progress=console)
    specs = {task.name: task.spec for task in result.suite.tasks}
    wrote = f"\nwrote {output}/: report.html, results.csv, results.json, pareto.png, worst/"
    console.give({"output": str(output), "table": result.lines}, *on_terminal(specs, result.lines), wrote)
