"""`scanprior reconstruct`: measured data, or images measured in simulation -> posterior mean, spread, samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..recon.methods import lines
from .reading import Reader, reading_options


def epilog() -> str:
    """The methods for --help, one a line."""
    return "Methods (docs/methods.md):\n\n" + lines().replace("\b\n", "").replace("\n", "\n\n")


@reading_options
def reconstruct(
    scan: Annotated[
        Path, typer.Argument(help="HDF5 (fastMRI, ISMRMRD, DXchange, own), or images with --simulate.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    simulate: Annotated[
        str | None, typer.Option(help="ct:views=23,photons=1e5 or mri:accel=4,coils=8")
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(help="Bundled name, run folder, .safetensors file, or your own as package.module:Name."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="One of the methods below, or your own as package.module:Name.")
    ] = "dds",
    options: Annotated[
        str, typer.Option(help="Settings of the method: steps=50,eta=1", show_default=False)
    ] = "",
    samples: Annotated[int, typer.Option(help="Posterior samples per slice.", min=1)] = 8,
    seed: Annotated[int, typer.Option(help="Of the samples (and of a simulation).")] = 0,
    slices: Annotated[str | None, typer.Option(help="Slices, e.g. 0,3,8 or 4-9; all by default.")] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Reconstruct classically too, to compare.")
    ] = True,
    presets: Annotated[
        bool, typer.Option("--presets/--no-presets", help="Use settings tuned for scans like this.")
    ] = True,
    mu_water: Annotated[
        float | None, typer.Option(help="Attenuation of water [1/mm] that defines HU.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="Of the network; auto: what is fast here.")
    ] = "auto",
    batch: Annotated[int, typer.Option(help="Images denoised at once.", min=1)] = 8,
    name_in_report: Annotated[
        bool,
        typer.Option("--name-in-report", help="Call the input by its name in the report, not by its hash."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output folder.")
    ] = False,
    reader: Reader = None,
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
        presets=presets,
        mu_water=mu_water,
        device=device,
        dtype=dtype,
        batch=batch,
        name_in_report=name_in_report,
    )
    reconstruct_file(scan, output, request, overwrite)
