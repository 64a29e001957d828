"""`scanprior calibrate`: is the spread of the samples right?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from ..errors import UsageError
from ..workflows.settings import Selection
from .console import Console
from .options import Device, option
from .suites import Output, Presets, Seed, SuiteName, selected
from .suites import suites_epilog as epilog
from .verb import HIDDEN, NONE, DryRun, verb

if TYPE_CHECKING:
    from ..workflows.calibrate import CalibrationResult

__all__ = ["calibrate", "epilog"]
SHOWN = ("inside", "discs of 5 mm", "discs of 10 mm")  # on the terminal; all places are on the page
KEYS = ["place", *(f"coverage_{level}" for level in (50, 80, 90, 95)), "spread_skill", "crps", "uniformity"]


@verb
@selected
def calibrate(
    suite: SuiteName,
    selection: Selection,
    output: Output = NONE,
    on: Annotated[
        Literal["test", "calibration", "prior"],
        option("The suite's patients, or images that the prior draws (--patients of them)."),
    ] = "test",
    presets: Presets = True,
    seed: Seed = 0,
    device: Device = "auto",
    dry_run: DryRun = False,
    console: Console = HIDDEN,
) -> None:
    """Measure how well a suite's posterior methods know how far they may be wrong: how often the truth lies in their
    intervals, spread over error, fair CRPS, ranks; by region, over discs of 3, 5 and 10 mm, by frequency.

    --on calibration makes the records that `reconstruct --interval` needs: of your own images (--data, fully sampled,
    of patients that no prior was trained on) they are kept where it finds them. --on test counts what records hold.
    --on prior asks the sampler alone: the truths are drawn from the prior (SBC, TARP).

    Kill it and run it again: it goes on where it was.

    \b
    Examples:
      scanprior calibrate quick --method dds -o calibration/
      scanprior calibrate ct-sparse --on calibration --data mine.h5 -o records/
    """
    from ..workflows.benchmark.planned import planned
    from ..workflows.benchmark.suite import read_suite
    from ..workflows.calibrate import calibrate as run
    from ..workflows.calibrate import part_of

    if dry_run and on == "prior":
        raise UsageError(
            "--dry-run: the images of --on prior are not there before they are drawn; leave out one"
        )
    if dry_run:
        part = part_of(read_suite(suite), selection, on)
        console.plan(planned(part, output, selection.prior, seed, device, presets, console))
        return
    result = run(suite, output, selection, on, seed=seed, device=device, presets=presets, progress=console)
    wrote = f"wrote {output}/: report.html, calibration.csv, calibration.json, ranks/, spectra/"
    wrote += ", intervals/" if result.records else ""
    if result.kept:
        wrote += "\nthe records of intervals are kept for `scanprior reconstruct`; `scanprior intervals list`"
    value = {
        "output": str(output),
        "lines": result.lines,
        "records": [record.name for record in result.records],
        "held": result.held,
        "errors": result.errors,
    }
    console.give(value, f"{in_words(result)}\n{wrote}")


def in_words(result: CalibrationResult) -> str:
    """The table of each task."""
    from ..recon.sbc import QUANTITIES, TARP
    from ..report.table import cells, columns_of, heads
    from ..report.terminal import wide

    out = []
    for task in result.suite.tasks:
        places = (*SHOWN, *QUANTITIES, TARP)
        own = [line for line in result.lines if line["task"] == task.name and line["place"] in places]
        keys = columns_of(own, KEYS)
        rows = [[line["label"] if line["place"] == SHOWN[0] else "", *cells(line, keys)] for line in own]
        out.append(wide(["method", *heads(keys)], rows, f"{task.name} ({task.spec})", left=2))
        out += [wide(one["heads"], one["rows"], one["title"], left=2) for one in result.tables(task.name)]
    return "".join([*out, *(f"{line}\n" for line in result.errors)])
