"""`scanprior simulate`: images -> measured data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..workflows.output import check_file
from ..workflows.remarks import remarks
from .reading import reading_options


@click.command()
@click.argument("image", type=Path, help="DICOM file or folder, NIfTI, or an HDF5 image set.")
@click.option("--output", "-o", type=Path, required=True, help="The scan's HDF5 file.")
@click.option("--ct", help="views=60,photons=1e5,fan,curved,arc=180,metal=2,…")
@click.option("--mri", help="accel=4,coils=8,snr=30,mask=radial,…")
@click.option("--slices", help="Slices, e.g. 0,3,8 or 4-9; all by default.")
@click.option("--seed", default=0, help="Of the noise, the phase and the mask.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@reading_options
def simulate(
    image: Path,
    output: Path,
    ct: str | None,
    mri: str | None,
    slices: str | None,
    seed: int,
    overwrite: bool,
    reader: dict[str, Any],
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
        click.echo(f"note: {line}")
    write_scan(output, scan)
    gaps = "" if scan.kind == "mri" or scan.mask is None else f", {1 - scan.mask.mean():.1%} of the rays lost"
    click.echo(
        f"wrote {output}: {scan.kind} data {scan.data.shape}{gaps}, reconstruction matrix {scan.matrix}"
    )
