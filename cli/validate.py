"""`scanprior validate`: what is wrong with a file, what it does not say, and what a reconstruction does about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import Console
from .options import argument
from .reading import Arc, Reader, Views, reading_options
from .verb import HIDDEN, verb


@verb
@reading_options
def validate(
    path: Annotated[Path, argument("A file of any known format, or a folder with one series.", "PATH")],
    views: Views = None,
    arc: Arc = None,
    reader: Reader = None,
    console: Console = HIDDEN,
) -> None:
    """Check a file before a reconstruction. Exit code 0: usable; 2: not.

    \b
    Examples:
      scanprior validate scan.h5
      scanprior validate dicom_folder/ --json
    """
    from ..workflows.validate import examine, found_in_words

    found = examine(path, views, arc, **(reader or {}))
    console.give(found, found_in_words(found))
    if not found["usable"]:
        raise typer.Exit(2)
