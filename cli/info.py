"""`scanprior info`: what a file is, from its headers. No torch, no bulk data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .reading import reading_options


@click.command()
@click.argument("path", type=Path, help="A file of any known format, or a folder with one series.")
@click.option("--json", "as_json", is_flag=True, help="JSON, for scripts.")
@reading_options
def info(path: Path, as_json: bool, reader: dict[str, Any]) -> None:
    """Say what a file is: format, kind, shape, units, geometry. Reads headers only.

    \b
    Examples:
      scanprior info scan.h5
      scanprior info dicom_folder/ --json
    """
    from ..formats.read import describe
    from ..report.words import lines, to_json

    facts = describe(path, **reader)
    click.echo(to_json(facts) if as_json else "\n".join(lines(facts)))
