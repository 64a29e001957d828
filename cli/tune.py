"""`scanprior tune`: settings of a method for measurements like yours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from ..workflows.settings import Search, Selection
from . import choices
from .console import Console
from .options import Device, argument, into, option, settings_options
from .suites import SELECTION, SuiteName
from .suites import suites_epilog as epilog
from .verb import HIDDEN, DryRun, verb

__all__ = ["epilog", "tune"]
PATIENTS = {"help": "The first n, 4 by default; a preset needs 4."}


@verb
@settings_options(
    Selection,
    "selection",
    without=("methods", "samples"),
    **{**SELECTION, "patients": SELECTION["patients"] | PATIENTS},
)
@settings_options(Search, "search", without=("samples",), metric={"metavar": "NAME"})
def tune(
    method: Annotated[str, argument("As `scanprior methods` lists them.", "METHOD", **choices.METHOD)],
    suite: SuiteName,
    selection: Selection,
    search: Search,
    options: Annotated[
        str, option("Settings that stay as they are: steps=50", "TEXT", show_default=False)
    ] = "",
    output: Annotated[
        Path | None, into("File of presets; by default that which `reconstruct` reads.", "FILE")
    ] = None,
    device: Device = "auto",
    dry_run: DryRun = False,
    console: Console = HIDDEN,
) -> None:
    """Tune METHOD for the measurements of SUITE on validation images, and keep what was found: `reconstruct` and
    `benchmark` use it by themselves for scans of that kind with that prior, say so, and do without with --no-presets.

    Kill it and run it again: the trials go on where they were.

    \b
    Examples:
      scanprior tune fista-tv ct-sparse
      scanprior tune dps ct-sparse --options steps=100 --task "23 views"
      scanprior tune dds my_suite.toml --data my_images.h5 --metric crps
    """
    from ..report.terminal import wide
    from ..workflows.tune import planned
    from ..workflows.tune import tune as run

    what = (method, suite, options, selection, search)
    how: Any = {"output": output, "device": device, "progress": console}

    if dry_run:
        console.plan(planned(*what, **how))
        return
    found = run(*what, **how)
    values = [{**one.found, "method": one.method, "settings": one.settings} for one in found.presets]
    heads = ("task", "settings", "patients", "as it is", "tuned")
    console.give(
        {"output": str(found.path), "kept": found.kept, "presets": values},
        wide(heads, found.rows(), f"{method}, {search.metric} on validation slices", left=2),
        found.outcome(),
    )
