"""`scanprior prepare`: folders of scans -> a training pack."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("sources", nargs=-1, required=True, type=Path, metavar="SOURCE...")
@click.option("--output", "-o", type=Path, required=True, help="Folder for the pack.")
@click.option("--preset", default="ct-256", help="ct-256, mri-256, or a TOML file of your own.")
@click.option("--matrix", type=int, help="Pixels a side, instead of the preset's.")
@click.option(
    "--pixel-mm",
    type=float,
    help="Side of the pixels. By default the finest with which the field of view fits, never finer than measured.",
)
@click.option("--modality", type=click.Choice(["CT", "MR"]), help="Of images that do not say it (NIfTI).")
@click.option("--val", default=0.1, help="Part of the patients for validation.")
@click.option("--test", default=0.1, help="Part of the patients for tests.")
@click.option("--seed", default=0, help="Of the split.")
@click.option("--overwrite", is_flag=True, help="Replace an older pack.")
def prepare(
    sources: tuple[Path, ...],
    output: Path,
    preset: str,
    matrix: int | None,
    pixel_mm: float | None,
    modality: str | None,
    val: float,
    test: float,
    seed: int,
    overwrite: bool,
) -> None:
    """Turn folders of DICOM, NIfTI, fastMRI or ISMRMRD files (any mixture, searched recursively) into a training pack:
    one pixel grid, split by patient, no identifiers, and a list of what was left out and why.

    \b
    Examples:
      scanprior prepare /archive/chest /archive/abdomen --preset ct-256 -o pack/
      scanprior prepare knees/ --preset mri-256 --matrix 320 -o pack/
      scanprior train --data pack/train.h5 --validation pack/val.h5 --preset ct-256 -o run/
    """
    from ..workflows.prepare import Settings, run_preparation
    from ..workflows.training_preset import read_preset

    table = read_preset(preset)
    matrix = matrix or max(table["prior"].get("matrix", [256]))
    settings = Settings(matrix, pixel_mm, val, test, seed)
    run_preparation(list(sources), output, table, settings, overwrite=overwrite, told=modality)
