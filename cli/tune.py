"""`scanprior tune`: settings of a method for measurements like yours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import choices
from .console import Console
from .suites import Data, Device, Prior, Slices, SuiteName, Tasks
from .suites import suites_epilog as epilog
from .verb import HIDDEN, verb

if TYPE_CHECKING:
    from ..workflows.tune import Tuned

__all__ = ["epilog", "tune"]


@verb
def tune(
    method: Annotated[
        str, typer.Argument(help="As `scanprior methods` lists them.", metavar="METHOD", **choices.METHOD)
    ],
    suite: SuiteName,
    options: Annotated[
        str, typer.Option(help="Settings that stay as they are: steps=50", metavar="TEXT", show_default=False)
    ] = "",
    tasks: Tasks = None,
    data: Data = None,
    patients: Annotated[
        int,
        typer.Option(help="The first n; a preset needs 4.", metavar="N", **choices.at_least(1, "--patients")),
    ] = 4,
    slices: Slices = None,
    trials: Annotated[
        int,
        typer.Option(help="Settings to try, for each task.", metavar="N", **choices.at_least(1, "--trials")),
    ] = 20,
    metric: Annotated[
        Literal["psnr", "ssim", "vif", "crps"],
        typer.Option(help="What to raise; or crps, the samples' distance from the truth, to lower."),
    ] = "psnr",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File of presets; by default that which `reconstruct` reads.",
            metavar="FILE",
        ),
    ] = None,
    prior: Prior = None,
    device: Device = "auto",
    console: Console = HIDDEN,
) -> None:
    """Tune METHOD for the measurements of SUITE on validation images, and keep what was found: `reconstruct` and
    `benchmark` use it by themselves for scans of that kind with that prior, say so, and do without with --no-presets.

    Kill it and run it again: the trials go on where they were.

    \b
    Examples:
      scanprior tune fista-tv ct-sparse
      scanprior tune dps ct-sparse --options steps=100 --task "23 views" --trials 30
      scanprior tune dds my_suite.toml --data my_validation_images.h5 --metric crps
    """
    from ..workflows.benchmark.results import Selection
    from ..workflows.benchmark.search import Search
    from ..workflows.tune import tune as run

    selection = Selection(data, tasks=tasks or (), patients=patients, slices=slices, prior=prior)
    how = Search(trials, metric)
    found = run(method, suite, options, selection, how, output=output, device=device, progress=console)
    value = [
        {**preset.found, "method": preset.method, "settings": preset.settings} for preset in found.presets
    ]
    console.give(
        {"output": str(found.path), "kept": found.kept, "presets": value},
        in_words(method, metric, found, everywhere=output is None),
    )


def in_words(method: str, metric: str, found: Tuned, everywhere: bool) -> str:
    """What was found for each task, and what becomes of it."""
    from .suites import table

    rows = []
    for preset in found.presets:
        settings = ",".join(f"{key}={value:.3g}" for key, value in preset.settings.items())
        values = (f"{preset.found[key]:.4g}" for key in ("default", "value"))
        rows.append([preset.found["task"], settings or "as it is", str(preset.patients), *values])
    shown = table(
        f"{method}, {metric} on validation slices",
        ["task", "settings", "patients", "as it is", "tuned"],
        rows,
        left=2,
    )
    few = min(preset.patients for preset in found.presets)
    if not found.kept:
        return f"{shown}\nnot kept, found on {few} patients: a preset needs 4; give the settings by --options"
    return f"{shown}\nwrote {found.path}" + (
        ": used from now on for scans of these kinds" if everywhere else ""
    )
