"""`scanprior likelihood`: how likely images are under a prior, in bits/dim."""

from __future__ import annotations

from pathlib import Path

import click

from ..workflows.output import check_file


@click.command()
@click.argument("images", type=Path, help="An image set (HDF5), a DICOM file or folder, NIfTI.")
@click.option("--prior", help="A bundled prior, a run folder or a file; by default the bundled one.")
@click.option("--output", "-o", type=Path, help="CSV file of the figures.")
@click.option("--limit", type=int, help="So many images, spread evenly; all by default.")
@click.option("--tolerance", default=1e-3, help="Of the adaptive solver (RK45).")
@click.option("--seed", default=0, help="Of the probe and of the dequantisation.")
@click.option("--device", default="auto", help="cpu, cuda or auto.")
@click.option("--overwrite", is_flag=True, help="Replace an existing CSV file.")
def likelihood(
    images: Path,
    prior: str | None,
    output: Path | None,
    limit: int | None,
    tolerance: float,
    seed: int,
    device: str,
    overwrite: bool,
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
        click.echo(f"wrote {output}")
