"""`scanprior methods`: what the methods are, and which settings they and a simulation take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from ..named import is_named
from . import choices
from .console import Console
from .options import argument
from .verb import HIDDEN, verb

if TYPE_CHECKING:
    from rich.table import Table

NAME = choices.known(lambda: choices.methods() | {"simulate": "settings of --simulate"}, "method", is_named)


@verb
def methods(
    name: Annotated[str | None, argument("A method, or simulate; all by default.", "NAME", **NAME)] = None,
    console: Console = HIDDEN,
) -> None:
    """List the methods, or show one of them: its paper, its equations, and its settings as --options takes them, with
    their defaults.

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
        rows = [row | {"name": f"{kind}:{row['name']}"} for kind, own in facts.items() for row in own]
        console.give(facts, _table(rows))
        return
    found = method_facts(name)
    paper = f"paper: {found['reference']}\n" if found["reference"] else ""
    head = f"{name}: {found['line']}\n{paper}file: {found['file']}\n\n{found['about']}\n"
    console.give(found, head, _table(found["settings"]))


def _table(rows: list[dict[str, Any]], keys: tuple[str, ...] = ("name", "kind", "default", "doc")) -> Table:
    from ..report.terminal import table

    return table(keys, [[row[key] for key in keys] for row in rows], left=len(keys))
