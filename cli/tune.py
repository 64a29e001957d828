"""`scanprior tune`: settings of a method for measurements like yours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from ..workflows.tune import Tuned


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
    patients: Annotated[int, typer.Option(help="The first n patients; a preset needs 4.", min=1)] = 4,
    slices: Annotated[int, typer.Option(help="Slices of each patient.", min=1)] = 1,
    trials: Annotated[int, typer.Option(help="Settings to try, for each task.", min=1)] = 20,
    metric: Annotated[
        Literal["psnr", "ssim", "vif", "crps"],
        typer.Option(help="What to raise; or crps, the samples' distance from the truth, to lower."),
    ] = "psnr",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File of presets; by default that which `reconstruct` reads."),
    ] = None,
    prior: Annotated[str | None, typer.Option(help="Bundled name, run folder or .safetensors file.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
) -> None:
    """Tune METHOD for the measurements of SUITE on validation images, and keep what was found: `reconstruct` and
    `benchmark` use it by themselves for scans of that kind with that prior, say so, and do without with --no-presets.

    Kill it and run it again: the trials go on where they were.

    \b
    Examples:
      scanprior tune fista-tv ct-sparse
      scanprior tune dps ct-sparse --options steps=100 --task "23 views" --trials 30
      scanprior tune dds my_suite.toml --data my_validation_images.h5 --metric ssim
    """
    from ..workflows.benchmark.results import Selection
    from ..workflows.benchmark.search import Search
    from ..workflows.tune import tune as run

    selection = Selection(data, tasks=tasks or (), patients=patients, slices=slices, prior=prior)
    found = run(method, suite, options, selection, Search(trials, metric), output=output, device=device)
    print_found(method, metric, found)
    if not found.kept:
        few = min(preset.patients for preset in found.presets)
        print(f"\nnot kept, found on {few} patients: a preset needs 4; give the settings by --options")
    else:
        print(f"\nwrote {found.path}" + ("" if output else ": used from now on for scans of these kinds"))


def print_found(method: str, metric: str, found: Tuned) -> None:
    """What was found for each task, on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{method}, {metric} on validation slices", title_justify="left")
    for head in ("task", "patients", "as it is", "tuned", "settings"):
        table.add_column(head, justify="left" if head in ("task", "settings") else "right")
    for preset in found.presets:
        settings = ",".join(f"{key}={value:.3g}" for key, value in preset.settings.items())
        values = (f"{preset.found[key]:.4g}" for key in ("default", "value"))
        table.add_row(preset.found["task"], str(preset.patients), *values, settings or "as it is")
    Console(width=max(Console().width, 100)).print(table)
