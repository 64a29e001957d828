"""Is the spread of a suite's posterior methods right? suite -> samples -> figures by place, intervals over patients.

The rows are those of a benchmark (benchmark/rows.py), kept in `rows/` of the output folder. Beside them:
`calibration.json` and `.csv` (a line a task, method and place), `ranks/` and `spectra/` (a picture a task) and
`report.html`. Calibration patients make records (recon/records.py) in `intervals/`: of images or suites of the user's
own in the user's place, too, where `reconstruct` finds them. On test patients what records hold is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..recon.calibration import average
from ..recon.places import WHOLE
from ..recon.records import Record, own_records, write_record
from ..report.calibration import write_calibration_page
from ..report.curves import rank_histograms, spectra
from ..report.page import write_sidecar
from .benchmark.results import RAN, Selection, command_of, run_suite
from .benchmark.rows import Row, jobs
from .benchmark.suite import Suite, is_posterior, read_suite, shipped
from .benchmark.table import CALIBRATED, by_method, by_patient, calibrated, refusals, write_lines
from .intervals import held, records_of, table_of_held, table_of_record
from .on_prior import by_quantity, drawn
from .progress import Progress, told

COLUMNS = [  # of calibration.csv
    *("task", "label", "place", "patients", "slices", "samples"),
    *(name for key in CALIBRATED for name in (key, f"{key}_low", f"{key}_high")),
    "uniformity",
]


@dataclass(frozen=True)
class CalibrationResult:
    """A suite whose spread was measured.

    Attributes:
        suite: what was run of it.
        lines: one a task, method (`label`) and `place` (recon/places.py): `patients`, `slices`, `samples`, the figures
            `CALIBRATED` each with `_low` and `_high`, and `ranks` (samples + 1,). CRPS, width and energy in HU, or in
            parts of the truth's largest magnitude.
        records: that calibration patients made.
        held: what records hold of test patients (intervals.held).
        kept: whether the records lie in the user's place.
        errors: methods that refused, and why.
        folder: where all of it lies.
    """

    suite: Suite
    lines: list[dict[str, Any]]
    records: list[Record]
    held: list[dict[str, Any]]
    kept: bool
    errors: list[str]
    folder: Path

    def tables(self, task: str) -> list[dict[str, Any]]:
        """Of the intervals of a task: `title`, `heads` and `rows` of words."""
        known = dict.fromkeys(line["label"] for line in self.lines)
        out = []
        for label in known:
            own = [line for line in self.held if (line["task"], line["label"]) == (task, label)]
            made = [one for one in self.records if (one.made["task"], one.made["label"]) == (task, label)]
            tables = [*map(table_of_record, made), *([table_of_held(own)] if own else [])]
            out += [{**table, "title": f"{label}: {table['title']}"} for table in tables]
        return out


def calibrate(
    suite: str,
    output: Path | str,
    selection: Selection | None = None,
    on: Literal["test", "calibration", "prior"] = "test",
    *,
    seed: int = 0,
    device: str = "auto",
    presets: bool = True,
    progress: Progress | None = None,
) -> CalibrationResult:
    """Run the posterior methods of a suite on its test or its calibration patients, or on images that the prior draws
    (on_prior.py), and measure their samples.

    Raises:
        ValueError: an unknown suite, task or method; a method or a number without samples; a damaged record.
        FileNotFoundError: images that are not there.
        FileExistsError: a folder with anything else in it.
    """
    selection, output = selection or Selection(), Path(output)
    chosen, progress = part_of(read_suite(suite), selection, on), told(progress)
    make = drawn(chosen, output, selection.prior, progress) if on == "prior" else jobs
    rows, facts = run_suite(chosen, output, selection.prior, seed, device, presets, progress, make)
    lines = by_place(chosen, rows) + (by_quantity(chosen, rows, output) if on == "prior" else [])
    errors = refusals(rows)
    more = {"on": on, "seed": seed, "device": facts["device"], "no-presets": not presets}
    command = command_of("calibrate", suite, selection, more)
    records, found = [], []
    if on == "calibration":
        records = records_of(chosen, rows, output, facts["priors"], command)
    elif on == "test":
        found = held(chosen, rows, output, facts["priors"])
    own = bool(records) and (selection.data is not None or suite not in shipped())
    for folder in (output / "intervals", *([own_records()] if own else [])):
        for record in records:
            write_record(folder / f"{record.name}.json", record)
    result = CalibrationResult(chosen, lines, records, found, own, errors, output)
    facts |= {"on": on, "errors": errors}
    write_sidecar(output / "calibration.json", {**facts, "lines": lines, "held": found})
    write_lines(output / "calibration.csv", COLUMNS, lines)
    facts |= {
        "command": command,
        "run": {key: facts[key] for key in RAN},
        "intervals": {task.name: result.tables(task.name) for task in chosen.tasks},
    }
    write_calibration_page(output, {**facts, "lines": lines, "pictures": _draw(output, chosen, lines)})
    return result


def part_of(suite: Suite, selection: Selection, on: str) -> Suite:
    """The posterior methods of what was chosen of a suite, on the patients asked for. Raises ValueError."""
    if on == "calibration":
        suite = suite.but(data=suite.calibration)
    if on == "prior" and selection.data is not None:
        raise ValueError("--data: --on prior draws its own images; leave out one of the two")
    chosen = selection.of(suite)
    if classical := [label for label in selection.methods if not is_posterior(label)]:
        raise ValueError(f"--method: {classical[0]} gives one image and no samples, nothing to calibrate")
    chosen = chosen.but(methods=tuple(label for label in chosen.methods if is_posterior(label)))
    if not chosen.methods:
        raise ValueError(f"{suite.name} has no posterior method; name one with --method")
    if chosen.samples < 2:
        raise ValueError(f"got {chosen.samples} sample of each slice, expected at least 2: --samples")
    return chosen


def by_place(suite: Suite, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The lines of `CalibrationResult`, in the order of the suite."""
    out = []
    for task, label, own in by_method(suite, rows, "calibration"):
        for place in dict.fromkeys(place for row in own for place in row["calibration"]):
            patients = by_patient(own, place)
            out.append(
                {
                    "task": task.name,
                    "label": label,
                    "place": place,
                    "patients": len(patients),
                    "slices": sum(place in row["calibration"] for row in own),
                    "samples": patients[0].samples,
                    **calibrated(patients),
                    "ranks": [float(part) for part in average(patients).ranks],
                }
            )
    return out


def _draw(folder: Path, suite: Suite, lines: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Pictures of each task: the ranks of the truth among each method's samples, inside, and their spectra. Returns
    task -> files."""
    for name in ("ranks", "spectra"):
        (folder / name).mkdir(exist_ok=True)
    out: dict[str, list[str]] = {}
    for k, task in enumerate(suite.tasks, 1):
        own, out[task.name] = [line for line in lines if line["task"] == task.name], []
        ranked = [line for line in own if line["place"] == WHOLE or "uniformity" in line]
        if ranks := {_panel(line): np.array(line["ranks"]) for line in ranked}:
            out[task.name].append(f"ranks/{k}.png")
            rank_histograms(folder / f"ranks/{k}.png", ranks, task.name)
        if bands := [line for line in own if line.get("grain") is not None]:
            out[task.name].append(f"spectra/{k}.png")
            spectra(folder / f"spectra/{k}.png", bands, task.name)
    return out


def _panel(line: dict[str, Any]) -> str:
    return line["label"] if line["place"] == WHOLE else f"{line['label']}\n{line['place']}"
