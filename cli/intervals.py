"""`scanprior intervals`: the calibration records that `reconstruct --interval` uses by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import Console
from .verb import HIDDEN, verb

intervals = typer.Typer(add_completion=False)


@intervals.callback(invoke_without_command=True)
def of_intervals(context: typer.Context) -> None:
    """List and remove calibration records; without a verb, list them."""
    if context.invoked_subcommand is None:
        list_records(context=context)


@intervals.command("list")
@verb
def list_records(console: Console = HIDDEN) -> None:
    """List for which scans there are intervals with a promise, the user's own first.

    \b
    Example:
      scanprior intervals list
    """
    from ..recon.records import SHIPPED, every_record
    from ..report.terminal import wide

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
    none = "there are none; `scanprior calibrate --on calibration` makes them"
    console.give(rows, wide(list(rows[0]), shown, "", left=len(rows[0])) if rows else none)


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
