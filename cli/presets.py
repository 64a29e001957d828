"""`scanprior presets`: the tuned settings that `reconstruct` and `benchmark` use by themselves."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import Console
from .verb import HIDDEN, verb

presets = typer.Typer(add_completion=False, no_args_is_help=True, help="List and remove tuned settings.")


@presets.command("list")
@verb
def list_presets(console: Console = HIDDEN) -> None:
    """List the presets, the user's own first.

    \b
    Example:
      scanprior presets list
    """
    from rich.table import Table

    from ..recon.presets import SHIPPED, every_preset

    rows = [
        {
            "number": number,
            "from": "scanprior" if path == SHIPPED else "own",
            "method": one.method,
            "tuned_on": one.place,
            "patients": one.patients,
            "settings": one.settings,
        }
        for number, (path, one) in enumerate(every_preset(), 1)
    ]
    table = Table("number", "from", "method", "tuned on", "patients", "settings", box=None, pad_edge=False)
    for row in rows:
        settings = ", ".join(f"{key}={value}" for key, value in row["settings"].items())
        table.add_row(*(str(row[key]) for key in list(row)[:-1]), settings or "as it is")
    console.give(rows, table if rows else "there are no presets; `scanprior tune` makes them")


@presets.command("remove")
@verb
def remove_preset(
    number: Annotated[int, typer.Argument(help="Of an own one, as the list has it.", metavar="NUMBER")],
    console: Console = HIDDEN,
) -> None:
    """Remove a preset of the user's own.

    \b
    Example:
      scanprior presets remove 1
    """
    from ..recon.presets import remove

    gone = remove(number)
    console.give({"method": gone.method, "tuned_on": gone.place}, f"removed {gone.method} for {gone.place}")
