"""The options of the verbs that run a suite, the same for each; and their tables."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from . import choices

WIDTH = 170  # of a table, at least
PANEL: dict[str, Any] = {"rich_help_panel": "Suite"}
SuiteName = Annotated[
    str, typer.Argument(help="One of those below, or a TOML file.", metavar="SUITE", **choices.SUITE)
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="Folder of the results; an existing one goes on.", metavar="FOLDER"),
]
Data = Annotated[Path | None, typer.Option(help="Images instead of the suite's.", metavar="IMAGES", **PANEL)]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        help="Only these: dds or dds:steps=20,eta=1; repeatable.",
        metavar="NAME",
        **PANEL,
        **choices.METHOD,
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option("--task", help="Only these tasks of the suite; repeatable.", metavar="TASK", **PANEL),
]
Patients = Annotated[
    int | None,
    typer.Option(help="The first n.", metavar="N", **PANEL, **choices.at_least(1, "--patients")),
]
Slices = Annotated[
    int | None,
    typer.Option(help="Of each patient.", metavar="N", **PANEL, **choices.at_least(1, "--slices")),
]
Samples = Annotated[
    int | None,
    typer.Option(help="Of the posterior, a slice.", metavar="N", **PANEL, **choices.at_least(1, "--samples")),
]
Prior = Annotated[
    str | None,
    typer.Option(
        help="Name, run folder, .safetensors file or package.module:Name; by default the bundled one.",
        metavar="NAME",
        **choices.PRIOR,
    ),
]
Presets = Annotated[
    bool, typer.Option("--presets/--no-presets", help="Settings tuned for measurements like these.")
]
Seed = Annotated[int, typer.Option(help="Of the samples.", metavar="N")]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.", metavar="NAME", **choices.DEVICE)]


def suites_epilog() -> str:
    """The shipped suites for --help, one a line."""
    lines = [f"{name}: {title}" for name, title in choices.suites().items()]
    return "\n\n".join(["Suites, or a TOML file of your own (docs/benchmarks.md):", *lines])


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A table as text, its first `left` columns to the left."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD)
    for place, head in enumerate(heads):
        shown.add_column(escape(head), justify="left" if place < left else "right", no_wrap=True)
    for row in rows:
        shown.add_row(*map(escape, row))
    text = io.StringIO()
    Console(file=text, width=WIDTH).print(shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
