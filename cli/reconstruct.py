"""`scanprior reconstruct`: measured data, or images measured in simulation -> posterior mean, spread, samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import choices
from .console import Console
from .reading import Arc, Reader, Views, reading_options
from .verb import HIDDEN, DryRun, verb

if TYPE_CHECKING:
    from rich.table import Table

    from ..workflows.result import Result

SCAN: dict[str, Any] = {"rich_help_panel": "Scan"}
METHOD: dict[str, Any] = {"rich_help_panel": "Method"}
OUTPUT: dict[str, Any] = {"rich_help_panel": "Output"}


Simulate = Annotated[
    str | None,
    typer.Option(
        help="Measure images: ct:views=23,photons=1e5 or mri:accel=4; `scanprior methods simulate`.",
        metavar="TEXT",
        **SCAN,
    ),
]
Slices = Annotated[
    str | None, typer.Option(help="E.g. 0,3,8 or 4-9; all by default.", metavar="TEXT", **SCAN)
]
MuWater = Annotated[
    float | None,
    typer.Option(help="CT: attenuation of water that defines HU, in 1/mm.", metavar="1/MM", **SCAN),
]
MethodName = Annotated[
    str,
    typer.Option(
        help="One of those below, or your own as package.module:Name.",
        metavar="NAME",
        **METHOD,
        **choices.METHOD,
    ),
]
Settings = Annotated[
    str,
    typer.Option(
        help="Its settings: steps=50,eta=1; `scanprior methods NAME` lists them.",
        metavar="TEXT",
        show_default=False,
        **METHOD,
    ),
]
PriorName = Annotated[
    str | None,
    typer.Option(
        help="Name, run folder, .safetensors file or package.module:Name; by default the bundled one.",
        metavar="NAME",
        **METHOD,
        **choices.PRIOR,
    ),
]
Samples = Annotated[
    int,
    typer.Option(
        help="Of the posterior, a slice.", metavar="N", **METHOD, **choices.at_least(1, "--samples")
    ),
]
Interval = Annotated[
    int | None,
    typer.Option(
        help="Intervals that hold the truth in so many percent: 50, 80, 90 or 95.",
        metavar="PERCENT",
        **METHOD,
    ),
]
Seed = Annotated[int, typer.Option(help="Of the samples (and of a simulation).", metavar="N", **METHOD)]
Baselines = Annotated[
    bool,
    typer.Option("--baselines/--no-baselines", help="Reconstruct classically too.", **METHOD),
]
Presets = Annotated[
    bool, typer.Option("--presets/--no-presets", help="Settings tuned for such scans.", **METHOD)
]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.", metavar="NAME", **METHOD, **choices.DEVICE)]
Dtype = Annotated[
    str,
    typer.Option(
        help="Of the network: float32, bfloat16 or auto.", metavar="NAME", **METHOD, **choices.DTYPE
    ),
]
Batch = Annotated[
    int,
    typer.Option(help="Images denoised at once.", metavar="N", **METHOD, **choices.at_least(1, "--batch")),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for the results.", metavar="FOLDER", **OUTPUT)
]
NameInReport = Annotated[
    bool,
    typer.Option("--name-in-report", help="Name the input in the results, else only its hash.", **OUTPUT),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output folder.", **OUTPUT)]


def epilog() -> str:
    """Where the methods are listed."""
    return (
        "Methods: " + ", ".join(choices.methods()) + ".\n\n`scanprior methods` says what they are and take."
    )


@verb
@reading_options
def reconstruct(
    scan: Annotated[
        Path, typer.Argument(help="Raw data of any known format, or images with --simulate.", metavar="SCAN")
    ],
    *,
    simulate: Simulate = None,
    slices: Slices = None,
    views: Views = None,
    arc: Arc = None,
    mu_water: MuWater = None,
    method: MethodName = "dds",
    options: Settings = "",
    prior: PriorName = None,
    samples: Samples = 8,
    interval: Interval = None,
    seed: Seed = 0,
    baselines: Baselines = True,
    presets: Presets = True,
    device: Device = "auto",
    dtype: Dtype = "auto",
    batch: Batch = 8,
    output: Output,
    name_in_report: NameInReport = False,
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

    check_output(output, overwrite)
    from ..workflows.reconstruct import planned, reconstruct_file
    from ..workflows.request import Request

    request = Request(
        prior=prior,
        method=method,
        options=options,
        samples=samples,
        interval=interval,
        seed=seed,
        simulate=simulate,
        slices=slices,
        views=views,
        arc=arc,
        reader=reader or {},
        baselines=baselines,
        presets=presets,
        mu_water=mu_water,
        device=device,
        dtype=dtype,
        batch=batch,
        name_in_report=name_in_report,
    )
    if dry_run:
        plan = planned(scan, request, console)
        console.give(plan, plan_in_words(plan))
    else:
        give(console, reconstruct_file(scan, output, request, overwrite, console), output)


def give(console: Console, result: Result, output: Path) -> None:
    """The table, what was promised, and what was written."""
    from ..workflows.intervals import spread_facts

    value = {
        "output": str(output),
        "files": sorted(path.name for path in output.iterdir()),
        "table": result.table,
        "presets": result.presets,
        "assumptions": result.assumptions,
        "warnings": result.warnings,
        "spread": None if result.spread is None else spread_facts(result.spread, result.slices),
    }
    console.give(value, table_of(result))
    if console.as_json:
        return
    if result.intervals is not None and result.spread is not None:
        typer.echo("\n" + "\n".join(result.spread.sentences))
    for name, preset in result.presets.items():
        if "tuned_on" in preset:
            typer.echo(f"{name}: {preset['said']}")
    nifti = " and .nii.gz" if "reconstruction.nii.gz" in value["files"] else ""
    typer.echo(
        f"\nwrote {output}/: report.html, report.png, reconstruction.h5{nifti}, dicom/, run.toml "
        "(research use only, not for diagnosis)"
    )


def table_of(result: Result) -> Table:
    """The means over the slices, one line a method."""
    from rich.table import Table

    from ..report.page import COLUMNS

    count = len(result.slices)
    table = Table(title=f"mean of {count} slices" if count > 1 else None)
    rows = result.table
    shown = {key: COLUMNS[key] for key in ("psnr", "ssim", "residual", "nfe", "seconds") if key in rows[0]}
    table.add_column("method")
    for head, _ in shown.values():
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(row["method"], *(form.format(row[key]) for key, (_, form) in shown.items()))
    return table


def plan_in_words(plan: dict[str, Any]) -> str:
    """What would be done."""
    from ..report.words import lines

    estimate = plan["estimate"]
    rest = {key: value for key, value in plan.items() if key != "estimate"}
    said = list(lines(rest))
    if estimate:
        least = "" if estimate["whole"] else "about, from its first steps: "
        memory = (
            "" if estimate["memory_mib"] is None else f", {estimate['memory_mib'] / 1024:.1f} GB of memory"
        )
        said.append(f"sampling takes {least}{duration(estimate['seconds'])}{memory}")
    return "\n".join([*said, "nothing was written"])


def duration(seconds: float) -> str:
    """A time in the unit that people would say."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
