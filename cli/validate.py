"""`scanprior validate`: what is wrong with a file, what it does not say, and what a reconstruction does about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .reading import Reader, reading_options


@reading_options
def validate(
    path: Annotated[Path, typer.Argument(help="A file of any known format, or a folder with one series.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for scripts.")] = False,
    reader: Reader = None,
) -> None:
    """Check a file before a reconstruction. Exit code 0: usable; 2: not.

    \b
    Examples:
      scanprior validate scan.h5
      scanprior validate dicom_folder/ --json
    """
    from ..report.words import to_json
    from ..workflows.validate import examine

    found = examine(path, **reader)
    typer.echo(to_json(found) if as_json else report(found))
    if not found["usable"]:
        raise typer.Exit(2)


def report(found: dict[str, Any]) -> str:
    """The findings as text."""
    lines = [f"{found['file']}: {found['what'] or found['format']}"]
    for title in ("problems", "notes"):
        if found[title]:
            lines += [f"{title}:", *(f"  - {line}" for line in found[title])]
    return "\n".join([*lines, "usable" if found["usable"] else "not usable as it is"])
