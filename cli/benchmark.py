"""`scanprior benchmark`: methods beside each other on the same slices."""

from __future__ import annotations

from pathlib import Path

import click


def _suites() -> str:
    """The shipped suites for --help, one a line."""
    from ..workflows.benchmark.suite import shipped

    return "\n".join(f"  {name:<17} {title}" for name, title in shipped().items())


class _Command(click.Command):
    """Lists the suites below its help; they are read only when help is asked for."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\nSuites, or a TOML file of your own (docs/benchmarks.md):\n{_suites()}\n")


@click.command(cls=_Command)
@click.argument("suite")
@click.option(
    "--output", "-o", type=Path, required=True, help="Folder of the results; an existing one goes on."
)
@click.option("--data", type=Path, help="Images to test on, instead of the suite's.")
@click.option("--method", "methods", multiple=True, help="Only these: dds or dds:steps=20,eta=1; repeatable.")
@click.option("--task", "tasks", multiple=True, help="Only these tasks of the suite; repeatable.")
@click.option("--patients", type=click.IntRange(1), help="The first n patients.")
@click.option("--slices", type=click.IntRange(1), help="Slices of each patient.")
@click.option("--samples", type=click.IntRange(1), help="Posterior samples of each slice.")
@click.option("--prior", help="Bundled name, run folder or .safetensors file.")
@click.option("--seed", default=0, help="Of the samples.")
@click.option("--device", default="auto", help="cpu, cuda or auto.")
def benchmark(
    suite: str,
    output: Path,
    data: Path | None,
    methods: tuple[str, ...],
    tasks: tuple[str, ...],
    patients: int | None,
    slices: int | None,
    samples: int | None,
    prior: str | None,
    seed: int,
    device: str,
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
    from ..workflows.benchmark.benchmark import run_benchmark

    run_benchmark(
        suite,
        output,
        data=data,
        methods=methods,
        tasks=tasks,
        prior=prior,
        seed=seed,
        device=device,
        patients=patients,
        slices=slices,
        samples=samples,
    )
