"""`scanprior simulate`: images -> measured data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..workflows.output import check_file
from ..workflows.remarks import remarks
from .reading import Reader, reading_options


@reading_options
def simulate(
    image: Annotated[Path, typer.Argument(help="DICOM file or folder, NIfTI, or an HDF5 image set.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The scan's HDF5 file.")],
    ct: Annotated[str | None, typer.Option(help="views=60,photons=1e5,fan,curved,arc=180,metal=2,…")] = None,
    mri: Annotated[str | None, typer.Option(help="accel=4,coils=8,snr=30,mask=radial,…")] = None,
    slices: Annotated[str | None, typer.Option(help="Slices, e.g. 0,3,8 or 4-9; all by default.")] = None,
    seed: Annotated[int, typer.Option(help="Of the noise, the phase and the mask.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    reader: Reader = None,
) -> None:
    """Simulate a scan of real images, on a grid finer than the reconstruction's.

    \b
    Examples:
      scanprior simulate image.dcm --ct views=60,fan -o scan.h5
      scanprior simulate series/ --ct views=23,photons=1e5 --slices 4-9 -o scan.h5
      scanprior simulate image.dcm --ct views=180,metal=2 -o gaps.h5
      scanprior simulate brain.nii.gz --mri accel=4,coils=8 -o kspace.h5
    """
    if (ct is None) == (mri is None):
        raise ValueError("give either --ct or --mri, e.g. --ct views=60,photons=1e5")
    check_file(output, overwrite, image)
    from ..workflows.simulate import scan_of_image

    scan, _ = scan_of_image(image, f"ct:{ct}" if ct is not None else f"mri:{mri}", slices, seed, **reader)
    from ..formats.store import write_scan

    for line in remarks(scan):
        typer.echo(f"note: {line}")
    write_scan(output, scan)
    gaps = "" if scan.kind == "mri" or scan.mask is None else f", {1 - scan.mask.mean():.1%} of the rays lost"
    typer.echo(
        f"wrote {output}: {scan.kind} data {scan.data.shape}{gaps}, reconstruction matrix {scan.matrix}"
    )
