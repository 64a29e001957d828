"""`scanprior methods`: what the methods are, and which settings they and a simulation take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..named import is_named
from . import choices
from .console import Console
from .verb import HIDDEN, verb

if TYPE_CHECKING:
    from rich.table import Table

SETTING = ("name", "kind", "default", "doc")
NAME = choices.known(lambda: choices.methods() | {"simulate": "settings of --simulate"}, "method", is_named)


@verb
def methods(
    name: Annotated[
        str | None, typer.Argument(help="A method, or simulate; all by default.", metavar="NAME", **NAME)
    ] = None,
    console: Console = HIDDEN,
) -> None:
    """List the methods, or the settings of one of them, as --options takes them, with their defaults.

    \b
    Examples:
      scanprior methods
      scanprior methods dds
      scanprior methods simulate
    """
    if name is None:
        listed = [{"method": key, "what": line} for key, line in choices.methods().items()]
        console.give(listed, _table(listed, ("method", "what")))
        return
    from ..workflows.methods import method_facts, simulation_facts

    if name == "simulate":
        facts = simulation_facts()
        rows = [
            row | {"name": f"{modality}:{row['name']}"}
            for modality, settings in facts.items()
            for row in settings
        ]
        console.give(facts, _table(rows))
        return
    found = method_facts(name)
    title = f"{name}: {found['line']}" + (f" ({found['reference']})" if found["reference"] else "")
    console.give(found, _table(found["settings"], SETTING, title))


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...] = SETTING, title: str | None = None) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(row[key]) for key in columns))
    return table
