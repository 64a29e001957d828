"""`scanprior likelihood`: how likely images are under a prior, in bits/dim."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..workflows.output import check_file
from . import choices
from .console import Console
from .verb import HIDDEN, verb


@verb
def likelihood(
    images: Annotated[
        Path,
        typer.Argument(help="An image set (HDF5), a DICOM file or folder, NIfTI.", metavar="IMAGES"),
    ],
    prior: Annotated[
        str | None,
        typer.Option(
            help="A bundled prior, a run folder or a file; by default the bundled one.",
            metavar="NAME",
            **choices.PRIOR,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="CSV file of the figures.", metavar="FILE")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="So many images, spread evenly; all by default.", metavar="N")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Of the adaptive solver (RK45).", metavar="NUMBER")
    ] = 0.001,
    seed: Annotated[int, typer.Option(help="Of the probe and of the dequantisation.", metavar="N")] = 0,
    device: Annotated[
        str, typer.Option(help="cpu, cuda or auto.", metavar="NAME", **choices.DEVICE)
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing CSV file.")] = False,
    console: Console = HIDDEN,
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
    if output is not None:
        check_file(output, overwrite, images)
    from rich.console import Group
    from rich.table import Table

    from ..workflows.likelihood import likelihood as run

    found = run(images, prior, limit, tolerance, seed, device, console)
    if output is not None:
        found.write_csv(output)
        console.say(f"wrote {output}")
    table = Table(title=f"{images.name} under {found.card.name}")
    for column in ("image", "bits/dim", "NFE", "s"):
        table.add_column(column, justify="right")
    for row in found.rows:
        table.add_row(str(row.index), f"{row.bits_per_dim:.3f}", str(row.nfe), f"{row.seconds:.1f}")
    error = "" if found.error is None else f" ± {found.error:.3f} (standard error)"
    what = "1 image" if len(found.rows) == 1 else f"{len(found.rows)} images"
    mean = f"{what}, mean {found.mean:.3f}{error} bits/dim, grey levels of {found.grey_level}"
    facts = {"prior": found.card.name, "mean": found.mean, "error": found.error}
    console.give(facts | {"images": [asdict(row) for row in found.rows]}, Group(table, mean))
