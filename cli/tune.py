"""`scanprior tune`: settings of a method for measurements like yours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def tune(
    method: Annotated[str, typer.Argument()],
    suite: Annotated[str, typer.Argument()],
    options: Annotated[
        str, typer.Option(help="Settings that stay as they are: steps=50", show_default=False)
    ] = "",
    tasks: Annotated[
        list[str] | None, typer.Option("--task", help="Only these tasks of the suite; repeatable.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Validation images, instead of the suite's.")] = None,
    patients: Annotated[int, typer.Option(help="The first n patients.", min=1)] = 2,
    slices: Annotated[int, typer.Option(help="Slices of each patient.", min=1)] = 1,
    trials: Annotated[int, typer.Option(help="Settings to try, for each task.", min=1)] = 20,
    metric: Annotated[Literal["psnr", "ssim", "vif"], typer.Option(help="What to raise.")] = "psnr",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File of presets; by default that which `reconstruct` reads."),
    ] = None,
    prior: Annotated[str | None, typer.Option(help="Bundled name, run folder or .safetensors file.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
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
    tasks = tuple(tasks or ())
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
