"""`scanprior intervals`: the calibration records that `reconstruct --interval` uses by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import Console
from .verb import HIDDEN, verb

intervals = typer.Typer(
    add_completion=False, no_args_is_help=True, help="List and remove calibration records."
)


@intervals.command("list")
@verb
def list_records(console: Console = HIDDEN) -> None:
    """List for which scans there are intervals with a promise, the user's own first.

    \b
    Example:
      scanprior intervals list
    """
    from rich.table import Table

    from ..recon.records import SHIPPED, every_record

    rows = [
        {
            "name": path.stem,
            "from": "scanprior" if path.parent == SHIPPED else "own",
            "prior": one.made.get("prior"),
            "method": one.made.get("label"),
            "samples": one.samples,
            "scans": one.made.get("spec"),
            "patients": one.patients,
            "promises": [level for level, found in one.promises["pixels"].items() if "factor" in found],
        }
        for path, one in every_record()
    ]
    table = Table(*(rows[0] if rows else ()), box=None, pad_edge=False)
    for row in rows:
        promises = ", ".join(f"{level} %" for level in row["promises"])
        table.add_row(*(str(value) for value in list(row.values())[:-1]), promises or "none")
    console.give(rows, table if rows else "there are none; `scanprior calibrate --on calibration` makes them")


@intervals.command("remove")
@verb
def remove_record(
    name: Annotated[str, typer.Argument(help="Of an own one, as the list has it.", metavar="NAME")],
    console: Console = HIDDEN,
) -> None:
    """Remove a calibration record of the user's own.

    \b
    Example:
      scanprior intervals remove ct-256-23-views-draws-8-samples
    """
    from ..recon.records import remove

    remove(name)
    console.give({"removed": name}, f"removed {name}")
