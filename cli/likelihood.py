"""`scanprior likelihood`: how likely images are under a prior, in bits/dim."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from ..workflows.output import check_file
from .console import Console
from .options import Device, Overwrite, Prior, argument, into, option
from .verb import HIDDEN, verb


@verb
def likelihood(
    images: Annotated[Path, argument("An image set (HDF5), a DICOM file or folder, NIfTI.", "IMAGES")],
    prior: Prior = None,
    output: Annotated[Path | None, into("CSV file of the figures.", "FILE")] = None,
    limit: Annotated[int | None, option("So many images, spread evenly; all by default.", "N")] = None,
    tolerance: Annotated[float, option("Of the adaptive solver (RK45).", "NUMBER")] = 0.001,
    seed: Annotated[int, option("Of the probe and of the dequantisation.", "N")] = 0,
    device: Device = "auto",
    overwrite: Overwrite = False,
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
    from ..report.terminal import table
    from ..workflows.likelihood import likelihood as run

    found = run(images, prior, limit, tolerance, seed, device, console)
    if output is not None:
        found.write_csv(output)
        console.say(f"wrote {output}")
    rows = [(str(r.index), f"{r.bits_per_dim:.3f}", str(r.nfe), f"{r.seconds:.1f}") for r in found.rows]
    error = "" if found.error is None else f" ± {found.error:.3f} (standard error)"
    what = "1 image" if len(found.rows) == 1 else f"{len(found.rows)} images"
    facts = {"prior": found.card.name, "mean": found.mean, "error": found.error}
    console.give(
        facts | {"images": [asdict(row) for row in found.rows]},
        table(("image", "bits/dim", "NFE", "s"), rows, f"{images.name} under {found.card.name}", left=0),
        f"{what}, mean {found.mean:.3f}{error} bits/dim, grey levels of {found.grey_level}",
    )
