"""`scanprior likelihood`: how likely images are under a prior, in bits/dim."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..workflows.output import check_file


def likelihood(
    images: Annotated[Path, typer.Argument(help="An image set (HDF5), a DICOM file or folder, NIfTI.")],
    prior: Annotated[
        str | None, typer.Option(help="A bundled prior, a run folder or a file; by default the bundled one.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="CSV file of the figures.")] = None,
    limit: Annotated[int | None, typer.Option(help="So many images, spread evenly; all by default.")] = None,
    tolerance: Annotated[float, typer.Option(help="Of the adaptive solver (RK45).")] = 0.001,
    seed: Annotated[int, typer.Option(help="Of the probe and of the dequantisation.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing CSV file.")] = False,
) -> None:
    """Log-likelihood of images under a prior, as bits/dim: what a coder with this prior would need per number.

    An out-of-distribution score, to be compared with that of the prior's own kind of images (its test set). Noise and
    texture count most in it: other noise, kernels or artefacts show; other anatomy hardly does, and simple images (air,
    smooth phantoms, a brain under a chest prior) cost few bits. Figures far off in either direction are the sign.

    CT counts steps of 1 HU, pictures in colour their grey levels, MR steps of 0.001 of the prior's scale; magnitude
    images are given phase zero for a prior of complex images. A 256 x 256 image takes about 90 network evaluations with
    gradients, a minute or two on a CPU core.

    \b
    Examples:
      scanprior likelihood test.h5 --limit 12 -o test.csv
      scanprior likelihood dicom_folder/ --prior run/ --limit 4
      scanprior likelihood brain.nii.gz --tolerance 1e-2 --device cuda
    """
    if limit is not None and limit < 1:
        raise ValueError(f"--limit: got {limit}, expected at least 1 image")
    if not 1e-9 <= tolerance <= 0.1:
        raise ValueError(f"--tolerance: got {tolerance:g}, expected 1e-9 to 0.1")
    if output is not None:
        check_file(output, overwrite, images)
    from ..workflows.likelihood import run, write_csv

    rows = run(images, prior, limit, tolerance, seed, device)
    if output is not None:
        write_csv(output, rows)
        typer.echo(f"wrote {output}")
