"""`scanprior prepare`: folders of scans -> a training pack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import choices
from .console import Console
from .verb import HIDDEN, DryRun, verb

if TYPE_CHECKING:
    from ..workflows.prepare import Pack

SPLIT: dict[str, Any] = {"rich_help_panel": "Split by patient", "metavar": "PART"}


@verb
def prepare(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pack.", metavar="FOLDER")],
    preset: Annotated[
        str,
        typer.Option(
            help="ct-256, mri-256, or a TOML file of your own.", metavar="NAME", **choices.TRAINING_PRESET
        ),
    ] = "ct-256",
    matrix: Annotated[
        int | None, typer.Option(help="Pixels a side, instead of the preset's.", metavar="N")
    ] = None,
    pixel_mm: Annotated[
        float | None,
        typer.Option(
            help="Side of the pixels. By default the finest with which the field of view fits, "
            "never finer than measured.",
            metavar="MM",
        ),
    ] = None,
    modality: Annotated[
        Literal["CT", "MR"] | None,
        typer.Option(help="Of images that do not say it (NIfTI).", metavar="CT|MR"),
    ] = None,
    val: Annotated[float, typer.Option(help="For validation.", **SPLIT)] = 0.1,
    test: Annotated[float, typer.Option(help="For tests.", **SPLIT)] = 0.1,
    calib: Annotated[float, typer.Option(help="For calibration only: `train` refuses them.", **SPLIT)] = 0.0,
    seed: Annotated[
        int, typer.Option(help="Of the split.", rich_help_panel=SPLIT["rich_help_panel"], metavar="N")
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older pack.")] = False,
    dry_run: DryRun = False,
    console: Console = HIDDEN,
) -> None:
    """Turn folders of DICOM, NIfTI, fastMRI or ISMRMRD files (any mixture, searched recursively) into a training pack:
    one pixel grid, split by patient, no identifiers, and a list of what was left out and why.

    \b
    Examples:
      scanprior prepare /archive/chest /archive/abdomen --preset ct-256 -o pack/
      scanprior prepare knees/ --preset mri-256 --matrix 320 --calib 0.1 -o pack/
      scanprior train --data pack/train.h5 --validation pack/val.h5 --preset ct-256 -o run/
    """
    from ..report.words import lines
    from ..workflows.prepare import planned
    from ..workflows.prepare import prepare as run
    from ..workflows.series import PrepareSettings

    settings = PrepareSettings(matrix, pixel_mm, val, test, calib, seed, modality)
    if dry_run:
        plan = planned(list(sources), preset, settings, console)
        console.give(plan, "\n".join([*lines(plan), "nothing was written"]))
        return
    pack = run(list(sources), output, preset, settings, overwrite, console)
    console.give(pack.manifest, _summary(pack))


def _summary(pack: Pack) -> Any:
    """What people read of a pack."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from ..formats.pack import LEFT_OUT
    from ..workflows.prepare import PICTURE

    counts = Table("", "patients", "images")
    for split, count in pack.counts.items():
        counts.add_row(split, str(count["patients"]), str(count["images"]))
    left = Table("left out", "images")
    for reason, images in pack.left_out.items():
        left.add_row(Text(reason), str(images))
    notes = [
        f"no patient fell into {split}: add patients, or choose another --seed" for split in pack.without
    ]
    notes.append(f"look at {pack.folder / PICTURE}; {LEFT_OUT} names your files, all else is anonymous")
    first = Text(f"{pack.folder}: {pack.manifest['units']}")
    return Group(first, counts, *([left] if pack.left_out else []), *map(Text, notes))
