"""`scanprior presets`: the tuned settings that `reconstruct` and `benchmark` use by themselves."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import Console
from .options import argument
from .verb import HIDDEN, verb

presets = typer.Typer(add_completion=False)
HEADS = ("number", "from", "method", "tuned on", "patients", "settings")


@presets.callback(invoke_without_command=True)
def of_presets(context: typer.Context) -> None:
    """List and remove tuned settings; without a verb, list them."""
    if context.invoked_subcommand is None:
        list_presets(context=context)


@presets.command("list")
@verb
def list_presets(console: Console = HIDDEN) -> None:
    """List the presets, the user's own first.

    \b
    Example:
      scanprior presets list
    """
    from ..recon.presets import SHIPPED, every_preset
    from ..report.terminal import table

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
    shown = []
    for row in rows:
        settings = ", ".join(f"{key}={value}" for key, value in row["settings"].items())
        shown.append([*(str(row[key]) for key in list(row)[:-1]), settings or "as it is"])
    none = "there are no presets; `scanprior tune` makes them"
    console.give(rows, table(HEADS, shown, left=len(HEADS)) if rows else none)


@presets.command("remove")
@verb
def remove_preset(
    number: Annotated[int, argument("Of an own one, as the list has it.", "NUMBER")],
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
