"""`scanprior data`: sets of images to evaluate on."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import Console
from .options import argument, option
from .verb import HIDDEN, verb

data = typer.Typer(add_completion=False, no_args_is_help=True, help="Fetch sets of images to evaluate on.")


@data.callback()
def of_data() -> None:
    """Fetch sets of images to evaluate on."""


@data.command("fetch")
@verb
def fetch(
    url: Annotated[str, argument("http(s) address of an archive or of one file.", "URL")],
    sha256: Annotated[str | None, option("Of it, as whoever offers it says.", "HASH")] = None,
    console: Console = HIDDEN,
) -> None:
    """Put a set of images into the cache; SCANPRIOR_DATA names it to `benchmark` and `tune`.

    \b
    Example:
      scanprior data fetch https://example.org/scans.tar.gz --sha256 5c9e…
    """
    from ..workflows.data import fetch_data

    console.stage("fetching")
    folder = fetch_data(url, sha256)
    console.give({"folder": str(folder)}, f"export SCANPRIOR_DATA={folder}")
