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
    from ..recon.records import SHIPPED, every_record
    from .suites import table

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
    shown = [
        [*map(str, list(row.values())[:-1]), ", ".join(f"{level} %" for level in row["promises"]) or "none"]
        for row in rows
    ]
    words = (
        table("", list(rows[0]), shown, left=5)
        if rows
        else "there are none; `scanprior calibrate` makes them"
    )
    console.give(rows, words)


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
