"""`scanprior tune`: settings of a method for measurements like yours."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("method")
@click.argument("suite")
@click.option("--options", default="", show_default=False, help="Settings that stay as they are: steps=50")
@click.option("--task", "tasks", multiple=True, help="Only these tasks of the suite; repeatable.")
@click.option("--data", type=Path, help="Validation images, instead of the suite's.")
@click.option("--patients", type=click.IntRange(1), default=2, help="The first n patients.")
@click.option("--slices", type=click.IntRange(1), default=1, help="Slices of each patient.")
@click.option("--trials", type=click.IntRange(1), default=20, help="Settings to try, for each task.")
@click.option("--metric", type=click.Choice(["psnr", "ssim", "vif"]), default="psnr", help="What to raise.")
@click.option("--output", "-o", type=Path, help="File of presets; by default that which `reconstruct` reads.")
@click.option("--prior", help="Bundled name, run folder or .safetensors file.")
@click.option("--device", default="auto", help="cpu, cuda or auto.")
def tune(
    method: str,
    suite: str,
    options: str,
    tasks: tuple[str, ...],
    data: Path | None,
    patients: int,
    slices: int,
    trials: int,
    metric: str,
    output: Path | None,
    prior: str | None,
    device: str,
) -> None:
    """Tune METHOD for the measurements of SUITE on validation images, and keep what was found: `reconstruct` and
    `benchmark` use it by themselves for scans of that kind.

    Kill it and run it again: the trials go on where they were.

    \b
    Examples:
      scanprior tune fista-tv ct-sparse
      scanprior tune dps ct-sparse --options steps=100 --task "23 views" --trials 30
      scanprior tune dds my_suite.toml --data my_validation_images.h5 --metric ssim
    """
    from ..workflows.tune import run_tuning

    run_tuning(
        method,
        suite,
        options,
        tasks=tasks,
        data=data,
        patients=patients,
        slices=slices,
        trials=trials,
        metric=metric,
        output=output,
        prior=prior,
        device=device,
    )
