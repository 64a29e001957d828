"""`scanprior info`: what a file is, from its headers. No torch, no bulk data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from .console import Console
from .options import argument
from .reading import Reader, reading_options
from .verb import HIDDEN, verb


@verb
@reading_options
def info(
    path: Annotated[Path, argument("A file of any known format, or a folder with one series.", "PATH")],
    reader: Reader = None,
    console: Console = HIDDEN,
) -> None:
    """Say what a file is: format, kind, shape, units, geometry. Reads headers only.

    \b
    Examples:
      scanprior info scan.h5
      scanprior info dicom_folder/ --json
    """
    from ..formats.read import describe
    from ..report.words import lines

    facts = describe(path, **(reader or {}))
    console.give(facts, "\n".join(lines(facts)))
