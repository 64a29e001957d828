"""`scanprior reconstruct`: measured data, or images measured in simulation -> posterior mean, spread, samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ..workflows.settings import Request
from . import choices
from .console import Console
from .options import OutputOrDry, Overwrite, argument, settings_options
from .reading import Reader, reading_options
from .verb import HIDDEN, NONE, DryRun, verb

if TYPE_CHECKING:
    from rich.table import Table

    from ..workflows.result import Result

PANELS = {
    "Scan": ("simulate", "slices", "views", "arc", "mu_water"),
    "Method": (
        "method",
        "options",
        "prior",
        "samples",
        "interval",
        "seed",
        "baselines",
        "presets",
        "device",
        "dtype",
        "batch",
    ),
    "Output": ("name_in_report",),
}
OWN: dict[str, Any] = {name: {"rich_help_panel": panel} for panel, names in PANELS.items() for name in names}
OWN["mu_water"]["metavar"] = "1/MM"
OWN["interval"]["metavar"] = "PERCENT"


def epilog() -> str:
    """Where the methods are listed."""
    return (
        "Methods: " + ", ".join(choices.methods()) + ".\n\n`scanprior methods` says what they are and take."
    )


@verb
@reading_options
@settings_options(Request, "request", without=("reader",), **OWN)
def reconstruct(
    scan: Annotated[Path, argument("Raw data of any known format, or images with --simulate.", "SCAN")],
    request: Request,
    output: OutputOrDry = NONE,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    reader: Reader = None,
    console: Console = HIDDEN,
) -> None:
    """Reconstruct a scan: mean, standard deviation and samples of the posterior, with a picture and a report.

    What is finished is kept when it is stopped; the same command goes on from there.

    \b
    Examples:
      scanprior reconstruct kspace.h5 -o out/
      scanprior reconstruct sinogram.h5 -o out/ --samples 16 --options steps=50
      scanprior reconstruct dicom/ --simulate ct:views=23 --slices 4 -o out/
      scanprior reconstruct SCAN --config out/run.toml -o again/
    """
    from ..workflows.output import check_output

    if output is not None:
        check_output(output, overwrite)
    from ..workflows.reconstruct import planned, reconstruct_file

    request = replace(request, reader=reader or {})
    if dry_run:
        console.plan(planned(scan, request, console))
    else:
        give(console, reconstruct_file(scan, output, request, overwrite, console), output)


def give(console: Console, result: Result, output: Path) -> None:
    """The table, what was promised, and what was written."""
    from ..workflows.intervals import spread_facts

    files = sorted(path.name for path in output.iterdir())
    value = {
        "output": str(output),
        "files": files,
        "table": result.table,
        "presets": result.presets,
        "assumptions": result.assumptions,
        "warnings": result.warnings,
        "spread": None if result.spread is None else spread_facts(result.spread, result.slices),
    }
    used = [f"{name}: {one['said']}" for name, one in result.presets.items() if "tuned_on" in one]
    nifti = " and .nii.gz" if "reconstruction.nii.gz" in files else ""
    wrote = f"\nwrote {output}/: report.html, report.png, reconstruction.h5{nifti}, dicom/, run.toml"
    spread = result.spread
    promised = ["", *spread.sentences] if spread is not None and spread.shown is not None else []
    console.give(value, _table(result), *promised, *used, f"{wrote} (research use only, not for diagnosis)")


def _table(result: Result) -> Table:
    """The means over the slices, one line a method."""
    from ..report.table import cells, columns_of, heads
    from ..report.terminal import table

    keys = ["method", *columns_of(result.table, ("psnr", "ssim", "residual", "nfe", "seconds"))]
    count = len(result.slices)
    title = f"mean of {count} slices" if count > 1 else None
    return table(heads(keys), [cells(row, keys) for row in result.table], title)
