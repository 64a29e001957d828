"""`scanprior reconstruct`: measured data, or images measured in simulation -> posterior mean, spread, samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..recon.methods import lines
from ..workflows.device import DTYPES
from .reading import reading_options


@click.command(epilog=f"\b\nMethods (docs/methods.md):\n{lines()}")
@click.argument("scan", type=Path, help="HDF5 (fastMRI, ISMRMRD, DXchange, own), or images with --simulate.")
@click.option("--output", "-o", type=Path, required=True, help="Folder for the results.")
@click.option("--simulate", help="ct:views=23,photons=1e5 or mri:accel=4,coils=8")
@click.option("--prior", help="Bundled name, run folder or .safetensors file.")
@click.option("--method", default="dds", help="One of the methods below.")
@click.option("--options", default="", show_default=False, help="Settings of the method: steps=50,eta=1")
@click.option("--samples", type=click.IntRange(1), default=8, help="Posterior samples per slice.")
@click.option("--seed", default=0, help="Of the samples (and of a simulation).")
@click.option("--slices", help="Slices, e.g. 0,3,8 or 4-9; all by default.")
@click.option("--baselines/--no-baselines", default=True, help="Reconstruct classically too, to compare.")
@click.option("--mu-water", type=float, help="Attenuation of water [1/mm] that defines HU.")
@click.option("--device", default="auto", help="cpu, cuda or auto.")
@click.option(
    "--dtype", type=click.Choice(DTYPES), default="auto", help="Of the network; auto: what is fast here."
)
@click.option("--batch", type=click.IntRange(1), default=8, help="Images denoised at once.")
@click.option(
    "--name-in-report", is_flag=True, help="Call the input by its name in the report, not by its hash."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing output folder.")
@reading_options
def reconstruct(
    scan: Path,
    output: Path,
    simulate: str | None,
    prior: str | None,
    method: str,
    options: str,
    samples: int,
    seed: int,
    slices: str | None,
    baselines: bool,
    mu_water: float | None,
    device: str,
    dtype: str,
    batch: int,
    name_in_report: bool,
    overwrite: bool,
    reader: dict[str, Any],
) -> None:
    """Reconstruct a scan: mean, standard deviation and samples of the posterior, with a picture and a report.

    What is finished is kept when it is stopped; the same command goes on from there.

    \b
    Examples:
      scanprior reconstruct kspace.h5 -o out/
      scanprior reconstruct sinogram.h5 -o out/ --samples 16 --options steps=50
      scanprior reconstruct dicom_dir/ --simulate ct:views=23,photons=1e5 --slices 4 -o out/
    """
    from ..workflows.output import check_output

    check_output(output, overwrite)
    from ..workflows.reconstruct import reconstruct_file
    from ..workflows.request import Request

    request = Request(
        prior=prior,
        method=method,
        options=options,
        samples=samples,
        seed=seed,
        simulate=simulate,
        slices=slices,
        reader=reader,
        baselines=baselines,
        mu_water=mu_water,
        device=device,
        dtype=dtype,
        batch=batch,
        name_in_report=name_in_report,
    )
    reconstruct_file(scan, output, request, overwrite)
