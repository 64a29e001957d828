"""`scanprior demo`: a real reconstruction, offline, on a fresh install."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "scanprior-demo"
    ),
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output folder.")] = False,
) -> None:
    """Simulate a noisy 23-view scan of a real CT slice that pydicom ships, and reconstruct it by FBP, FISTA-TV and
    scanprior with a bundled prior: a table, a picture, a report, HDF5 and DICOM.

    \b
    Example:
      scanprior demo -o demo/
    """
    from .output import check_output

    check_output(output, overwrite)
    from ..formats.dicom import example_ct
    from .reconstruction import Request, reconstruct_file

    reconstruct_file(example_ct(), output, Request(), "ct:views=23,photons=1e5", overwrite=overwrite)
    typer.echo(f"open {output}/report.html")
