"""Tables and times as a terminal shows them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

WIDE = 170  # columns of a table that is not to be wrapped


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    title: str | None = None,
    left: int = 1,
    wrap: bool = True,
) -> Table:
    """A table for `Console.give`, its first `left` columns to the left and the others to the right.

    Args:
        wrap: long cells go on in the next line.
    """
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=title and escape(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for place, head in enumerate(heads):
        side = "left" if place < left else "right"
        shown.add_column(escape(head), justify=side, no_wrap=not wrap, overflow="fold")
    for row in rows:
        shown.add_row(*map(escape, row))
    return shown


def wide(heads: Sequence[str], rows: Iterable[Sequence[str]], title: str, left: int = 1) -> str:
    """A table as text, its lines whole in a narrow terminal and in a pipe, too."""
    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=WIDE).print(table(heads, rows, title, left, wrap=False))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def duration(seconds: float) -> str:
    """A time in the unit that people would say."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def takes(estimate: dict[str, Any]) -> str:
    """What a dry run found: "seconds", "memory_mib" or None, "whole": whether all of what was tried ended."""
    least = "" if estimate["whole"] else "about, from its first steps: "
    memory = estimate["memory_mib"]
    needs = "" if memory is None else f", {memory / 1024:.1f} GB of memory"
    return f"sampling takes {least}{duration(estimate['seconds'])}{needs}"
