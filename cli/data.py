"""`scanprior data`: sets of images to evaluate on."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from .console import Console
from .options import argument, option
from .verb import HIDDEN, verb

data = typer.Typer(add_completion=False, no_args_is_help=True, help="Sets of images to evaluate on.")


@data.callback()
def of_data() -> None:
    """Sets of images to evaluate on: those that come with the package, and others fetched."""


@data.command()
@verb
def example(
    modality: Annotated[Literal["ct", "mri"], argument("Of the images.", "ct|mri")], console: Console = HIDDEN
) -> None:
    """Say where the test images lie that come with the package: one slice a patient, not to be trained on.

    \b
    Example:
      scanprior simulate "$(scanprior data example ct)" --ct views=30 -o scan.h5
    """
    from ..workflows.data import example_images

    path = example_images(modality)
    console.give({"file": str(path)}, str(path))


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
