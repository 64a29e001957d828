"""`scanprior audit`: can a reconstruction be trusted here?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Console
from .reading import Arc, Reader, Views, reading_options
from .reconstruct import Device, MethodName, MuWater, PriorName, Samples, Seed, Settings, Simulate, Slices
from .verb import HIDDEN, verb

if TYPE_CHECKING:
    from rich.table import Table

    from ..workflows.audit import Audit

__all__ = ["audit"]


@verb
@reading_options
def audit(
    scan: Annotated[
        Path, typer.Argument(help="Raw data of any known format, or images with --simulate.", metavar="SCAN")
    ],
    *,
    simulate: Simulate = None,
    slices: Slices = None,
    views: Views = None,
    arc: Arc = None,
    mu_water: MuWater = None,
    method: MethodName = "auto",
    options: Settings = "steps=10",
    prior: PriorName = None,
    samples: Samples = 4,
    seed: Seed = 0,
    device: Device = "auto",
    reader: Reader = None,
    console: Console = HIDDEN,
) -> None:
    """Reconstruct a scan and ask whether to trust it: does the image fit the data, does it predict data that were held
    out, is it of the prior's kind, do the samples agree, are angles, axis, mask and noise as stated.

    \b
    Examples:
      scanprior audit sinogram.h5
      scanprior audit dicom/ --simulate ct:views=23 --slices 4
    """
    from ..workflows.audit import audit as run

    result = run(
        scan,
        simulate=simulate,
        slices=slices,
        views=views,
        arc=arc,
        mu_water=mu_water,
        method=method,
        options=options,
        prior=prior,
        samples=samples,
        seed=seed,
        device=device,
        reader=reader or {},
        progress=console,
    )
    console.give(result.facts, table_of(result))
    if not console.as_json:
        typer.echo(verdict(result))


def table_of(result: Audit) -> Table:
    """A line a check."""
    from rich.table import Table

    from ..report.audit import lines

    table = Table()
    for head in ("check", "found", "usual", ""):
        table.add_column(head, justify="right" if head in ("found", "usual") else "left")
    for line in lines(result.table):
        table.add_row(*line)
    return table


def verdict(result: Audit) -> str:
    """One sentence, and what it rests on."""
    from ..report.audit import verdict

    return "\n".join([verdict(result.facts), *(f"note: {line}" for line in result.notes)])
