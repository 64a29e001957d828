"""`scanprior prepare`: folders of scans -> a training pack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def prepare(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pack.")],
    preset: Annotated[str, typer.Option(help="ct-256, mri-256, or a TOML file of your own.")] = "ct-256",
    matrix: Annotated[int | None, typer.Option(help="Pixels a side, instead of the preset's.")] = None,
    pixel_mm: Annotated[
        float | None,
        typer.Option(
            help="Side of the pixels. By default the finest with which the field of view fits, "
            "never finer than measured."
        ),
    ] = None,
    modality: Annotated[
        Literal["CT", "MR"] | None, typer.Option(help="Of images that do not say it (NIfTI).")
    ] = None,
    val: Annotated[float, typer.Option(help="Part of the patients for validation.")] = 0.1,
    test: Annotated[float, typer.Option(help="Part of the patients for tests.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older pack.")] = False,
) -> None:
    """Turn folders of DICOM, NIfTI, fastMRI or ISMRMRD files (any mixture, searched recursively) into a training pack:
    one pixel grid, split by patient, no identifiers, and a list of what was left out and why.

    \b
    Examples:
      scanprior prepare /archive/chest /archive/abdomen --preset ct-256 -o pack/
      scanprior prepare knees/ --preset mri-256 --matrix 320 -o pack/
      scanprior train --data pack/train.h5 --validation pack/val.h5 --preset ct-256 -o run/
    """
    sources = tuple(sources)
    from ..workflows.prepare import Settings, run_preparation
    from ..workflows.training_preset import read_preset

    table = read_preset(preset)
    matrix = matrix or max(table["prior"].get("matrix", [256]))
    settings = Settings(matrix, pixel_mm, val, test, seed)
    run_preparation(list(sources), output, table, settings, overwrite=overwrite, told=modality)
