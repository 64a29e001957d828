"""`scanprior simulate`: images -> measured data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError
from ..workflows.output import check_file
from .console import Console
from .options import Overwrite, argument, into, option
from .reading import Reader, reading_options
from .verb import HIDDEN, verb


def _text(help: str) -> Any:
    return typer.Option(help=help, metavar="TEXT")


@verb
@reading_options
def simulate(
    image: Annotated[Path, argument("DICOM file or folder, NIfTI, or an HDF5 image set.", "IMAGES")],
    output: Annotated[Path, into("The scan's HDF5 file.", "FILE")],
    ct: Annotated[str | None, _text("views=60,photons=1e5,fan,arc=180,metal=2,…")] = None,
    mri: Annotated[str | None, _text("accel=4,coils=8,snr=30,mask=radial,…")] = None,
    slices: Annotated[str | None, _text("E.g. 0,3,8 or 4-9; all by default.")] = None,
    seed: Annotated[int, option("Of the noise, the phase and the mask.", "N")] = 0,
    overwrite: Overwrite = False,
    reader: Reader = None,
    console: Console = HIDDEN,
) -> None:
    """Simulate a scan of real images, on a grid finer than the reconstruction's.

    `scanprior methods simulate` lists the settings of --ct and --mri.

    \b
    Examples:
      scanprior simulate image.dcm --ct views=60,fan -o scan.h5
      scanprior simulate series/ --ct views=23,photons=1e5 --slices 4-9 -o scan.h5
      scanprior simulate image.dcm --ct views=180,metal=2 -o gaps.h5
      scanprior simulate brain.nii.gz --mri accel=4,coils=8 -o kspace.h5
    """
    if (ct is None) == (mri is None):
        raise UsageError("give either --ct or --mri, e.g. --ct views=60,photons=1e5")
    check_file(output, overwrite, image)
    from ..formats.store import write_scan
    from ..workflows.remarks import remarks
    from ..workflows.simulate import simulate as run

    scan = run(image, f"ct:{ct}" if ct is not None else f"mri:{mri}", slices, seed, console, **(reader or {}))
    for line in remarks(scan):
        console.say(f"note: {line}")
    write_scan(output, scan)
    lost = 0.0 if scan.kind == "mri" or scan.mask is None else float(1 - scan.mask.mean())
    facts = {"kind": scan.kind, "data": scan.data.shape, "matrix": scan.matrix, "rays_lost": lost}
    gaps = f", {lost:.1%} of the rays lost" if lost else ""
    console.give(
        {"output": str(output), **facts},
        f"wrote {output}: {scan.kind} data {scan.data.shape}{gaps}, reconstruction matrix {scan.matrix}",
    )
