"""`scanprior audit`: can a reconstruction be trusted here?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from .console import Console
from .reading import Arc, Reader, Views, reading_options
from .reconstruct import (
    OUTPUT,
    SCAN,
    Device,
    MethodName,
    MuWater,
    Overwrite,
    PriorName,
    Samples,
    Seed,
    Settings,
    Simulate,
    Slices,
)
from .verb import HIDDEN, verb

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["audit"]


@verb
@reading_options
def audit(
    path: Annotated[
        Path,
        typer.Argument(
            help="Raw data, images with --simulate, or what `reconstruct` wrote.", metavar="SCAN|FOLDER"
        ),
    ],
    *,
    scan: Annotated[
        Path | None,
        typer.Option(help="What the FOLDER was made from: hold some of it out.", metavar="SCAN", **SCAN),
    ] = None,
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
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for a page and maps.", metavar="FOLDER", **OUTPUT),
    ] = None,
    overwrite: Overwrite = False,
    as_reference: Annotated[
        bool,
        typer.Option("--as-reference", help="The scan is sound: keep it as what is usual.", **OUTPUT),
    ] = False,
    reader: Reader = None,
    console: Console = HIDDEN,
) -> None:
    """Ask whether to trust a reconstruction: does it fit the data, does it predict data that were held out, is the image
    of the prior's kind, do the samples agree, are angles, axis, mask and noise as stated. How much of each pixel the
    data say, and how much the prior.

    \b
    Examples:
      scanprior audit sinogram.h5 -o audit/
      scanprior audit dicom/ --simulate ct:views=23 --slices 4
      scanprior audit out/                      # what the report of `reconstruct` says
      scanprior audit out/ --scan sinogram.h5   # and with data held out, as it was made
    """
    if output is not None:
        from ..workflows.audit_folder import OURS
        from ..workflows.output import check_output

        check_output(output, overwrite, OURS)
    from ..workflows.audit_folder import audit_file, audit_of_folder, request_of_folder
    from ..workflows.request import Request

    made = (path / "report.json").is_file()
    if scan is not None and not made:
        raise UsageError(f"--scan: {path} is no folder that `reconstruct` wrote")
    if made and scan is None:
        if output is not None or as_reference:
            raise UsageError(f"{path} needs its scan for that: add --scan SCAN")
        give(console, audit_of_folder(path), None)
        return
    if scan is not None:
        request = request_of_folder(path, scan, prior)
    else:
        request = Request(
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
            baselines=False,
        )
    source = path if scan is None else scan
    how: dict[str, Any] = {"overwrite": overwrite, "as_reference": as_reference, "progress": console}
    give(console, audit_file(source, request, output, **how), output)


def give(console: Console, facts: dict[str, Any], output: Path | None) -> None:
    """The table, the verdict, and what was written."""
    from ..report.verdict import verdict

    console.give(facts | ({} if output is None else {"output": str(output)}), table_of(facts))
    if console.as_json:
        return
    typer.echo(verdict(facts))
    for line in facts["notes"]:
        typer.echo(f"note: {line}")
    if facts["data_share"] is not None:
        typer.echo(f"the data say {facts['data_share']:.0%} of the image, the prior the rest")
    if "reference" in facts:
        typer.echo(f"kept as a sound scan in {facts['reference']}")
    if output is not None:
        typer.echo(f"wrote {output}/: audit.html, audit.json, audit.png, audit.h5")


def table_of(facts: dict[str, Any]) -> Table:
    """A line a check."""
    from rich.table import Table

    from ..report.verdict import HEADS, lines

    table = Table()
    for head in HEADS:
        table.add_column(head, justify="right" if head in ("found", "usual") else "left")
    for line in lines(facts["table"]):
        table.add_row(*line)
    return table
