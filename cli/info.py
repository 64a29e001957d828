"""`scanprior info`: what a file is, from its headers. No torch, no bulk data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .reading import Reader, reading_options


@reading_options
def info(
    path: Annotated[Path, typer.Argument(help="A file of any known format, or a folder with one series.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for scripts.")] = False,
    reader: Reader = None,
) -> None:
    """Say what a file is: format, kind, shape, units, geometry. Reads headers only.

    \b
    Examples:
      scanprior info scan.h5
      scanprior info dicom_folder/ --json
    """
    from ..formats.read import describe
    from ..report.words import lines, to_json

    facts = describe(path, **reader)
    typer.echo(to_json(facts) if as_json else "\n".join(lines(facts)))
