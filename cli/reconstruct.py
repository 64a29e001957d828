"""`scanprior reconstruct`: measured data, or images measured in simulation -> posterior mean, spread, samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def reconstruct(
    scan: Annotated[
        Path, typer.Argument(help="HDF5 (fastMRI, ISMRMRD, DXchange, own), or images with --simulate.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    simulate: Annotated[
        str | None, typer.Option(help="ct:views=23,photons=1e5 or mri:accel=4,coils=8")
    ] = None,
    prior: Annotated[str | None, typer.Option(help="Bundled name, run folder or .safetensors file.")] = None,
    method: Annotated[str, typer.Option(help="dds (fast) or projection (Song et al. 2022).")] = "dds",
    options: Annotated[str, typer.Option(help="Settings of the method: steps=50,eta=1")] = "",
    samples: Annotated[int, typer.Option(min=1, help="Posterior samples per slice.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the samples (and of a simulation).")] = 0,
    slices: Annotated[str | None, typer.Option(help="Slices, e.g. 0,3,8 or 4-9; all by default.")] = None,
    baselines: Annotated[bool, typer.Option(help="Reconstruct classically too, to compare.")] = True,
    mu_water: Annotated[
        float | None, typer.Option(help="Attenuation of water [1/mm] that defines HU.")
    ] = None,
    series: Annotated[str | None, typer.Option(help="DICOM series, where a folder holds several.")] = None,
    angle_sign: Annotated[int | None, typer.Option(help="-1: angles run clockwise.")] = None,
    center: Annotated[float | None, typer.Option(help="DXchange: column of the rotation axis.")] = None,
    drop_columns: Annotated[int | None, typer.Option(help="DXchange: header columns to drop.")] = None,
    pixel_mm: Annotated[float | None, typer.Option(help="DXchange: detector pixel [mm].")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Images denoised at once.")] = 8,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output folder.")] = False,
) -> None:
    """Reconstruct a scan: mean, standard deviation and samples of the posterior, with a picture and a report.

    \b
    Examples:
      scanprior reconstruct kspace.h5 -o out/
      scanprior reconstruct sinogram.h5 -o out/ --samples 16 --options steps=50
      scanprior reconstruct dicom_dir/ --simulate ct:views=23,photons=1e5 --slices 4 -o out/
    """
    from .output import check_output

    check_output(output, overwrite)
    from .reconstruction import Request, reconstruct_file

    reader = {
        "series": series,
        "angle_sign": angle_sign,
        "center": center,
        "drop_columns": drop_columns,
        "pixel_mm": pixel_mm,
    }
    request = Request(
        prior=prior,
        method=method,
        options=options,
        samples=samples,
        seed=seed,
        baselines=baselines,
        mu_water=mu_water,
        device=device,
        batch=batch,
    )
    given = {key: value for key, value in reader.items() if value is not None}
    reconstruct_file(scan, output, request, simulate, slices, overwrite, given)
