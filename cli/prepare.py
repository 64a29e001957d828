"""`scanprior prepare`: folders of scans -> a training pack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ..workflows.settings import PrepareSettings
from .console import Console
from .options import OutputOrDry, Overwrite, Preset, argument, settings_options
from .verb import HIDDEN, NONE, DryRun, verb

if TYPE_CHECKING:
    from ..workflows.prepare import Pack

PANEL: dict[str, Any] = {"rich_help_panel": "Split by patient"}
PART = {**PANEL, "metavar": "PART"}


@verb
@settings_options(PrepareSettings, val=PART, test=PART, calib=PART, seed=PANEL, modality={"metavar": "CT|MR"})
def prepare(
    sources: Annotated[list[Path], argument("Folders and files, searched recursively.", "SOURCE")],
    settings: PrepareSettings,
    output: OutputOrDry = NONE,
    preset: Preset = "ct-256",
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    console: Console = HIDDEN,
) -> None:
    """Turn folders of DICOM, NIfTI, fastMRI or ISMRMRD files (any mixture, searched recursively) into a training pack:
    one pixel grid, split by patient, no identifiers, and a list of what was left out and why.

    \b
    Examples:
      scanprior prepare /archive/chest /archive/abdomen --preset ct-256 -o pack/
      scanprior prepare knees/ --preset mri-256 --matrix 320 --calib 0.1 -o pack/
      scanprior train --data pack/train.h5 --validation pack/val.h5 -o run/
    """
    from ..workflows.prepare import planned
    from ..workflows.prepare import prepare as run

    if dry_run:
        console.plan(planned(sources, preset, settings, console))
        return
    pack = run(sources, output, preset, settings, overwrite, console)
    console.give(pack.manifest, *_shown(pack))


def _shown(pack: Pack) -> Iterator[Any]:
    """What people read of a pack."""
    from ..formats.pack import LEFT_OUT
    from ..report.terminal import table
    from ..workflows.prepare import PICTURE

    yield f"{pack.folder}: {pack.manifest['units']}"
    counts = [(split, str(n["patients"]), str(n["images"])) for split, n in pack.counts.items()]
    yield table(("", "patients", "images"), counts)
    if pack.left_out:
        yield table(("left out", "images"), [(reason, str(n)) for reason, n in pack.left_out.items()])
    for split in pack.without:
        yield f"no patient fell into {split}: add patients, or choose another --seed"
    yield f"look at {pack.folder / PICTURE}; {LEFT_OUT} names your files, all else is anonymous"
