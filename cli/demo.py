"""`scanprior demo`: a real reconstruction, offline, on a fresh install."""

from __future__ import annotations

from pathlib import Path

import typer

from .console import Console
from .options import Output, Overwrite
from .reconstruct import give
from .verb import HIDDEN, verb


@verb
def demo(
    output: Output = Path("scanprior-demo"), overwrite: Overwrite = False, console: Console = HIDDEN
) -> None:
    """Simulate a noisy 23-view scan of a real CT slice that pydicom ships, and reconstruct it by FBP, FISTA-TV and
    scanprior with a bundled prior: a table, a picture, a report, HDF5 and DICOM.

    \b
    Example:
      scanprior demo -o demo/
    """
    from ..workflows.output import check_output

    check_output(output, overwrite)
    from ..formats.dicom import example_ct
    from ..workflows.reconstruct import reconstruct_file
    from ..workflows.settings import Request

    request = Request(simulate="ct:views=23,photons=1e5", name_in_report=True)
    give(console, reconstruct_file(example_ct(), output, request, overwrite, console), output)
    if not console.as_json:
        typer.echo(f"open {output}/report.html")
