"""Intervals with a promise: a suite's calibration rows -> records, its test rows -> what records hold there, and a
reconstruction -> what may be said of its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..recon.calibration import LEVELS
from ..recon.display import Display
from ..recon.family import family_of
from ..recon.intervals import BOUNDS, KINDS, Intervals, intervals
from ..recon.problem import Reconstruction
from ..recon.promises import MeasuredSlice, losses_of, overstated, percent, promises
from ..recon.records import Record, record_for
from .benchmark.rows import Row, picture
from .benchmark.suite import Suite
from .benchmark.table import by_method

IN_WORDS = {"pixels": "pixels", "5 mm": "means over 5 mm", "ssim": "SSIM", "psnr": "PSNR [dB]"}
Priors = dict[str, dict[str, Any]]  # ct or mri -> name, sha256


# --- suites
def records_of(suite: Suite, rows: Sequence[Row], folder: Path, priors: Priors, command: str) -> list[Record]:
    """A record a task and method, from the rows of calibration patients that lie in `folder`."""
    out = []
    for task, label, own in by_method(suite, rows, "similarities"):
        slices = _measured(own, folder)
        prior = priors[task.modality.kind]
        made = {
            "prior": prior["name"],
            "suite": suite.name,
            "task": task.name,
            "spec": task.spec,
            "label": label,
            "command": command,
            "date": datetime.now(UTC).date().isoformat(),
            "scanprior": __version__,
        }
        out.append(
            Record(
                prior=prior["sha256"],
                method=own[0]["effective"],
                samples=own[0]["samples"],
                family=family_of([row["scan"] for row in own]),
                patients=len({one.patient for one in slices}),
                slices=len(slices),
                promises=promises(slices),
                made=made,
            )
        )
    return out


def held(suite: Suite, rows: Sequence[Row], folder: Path, priors: Priors) -> list[dict[str, Any]]:
    """What the records hold of patients that had no part in them: a line a task, method, kind and level, with
    `patients`, and of nested sets `mean`, `least` and `most` of the parts inside, of bounds `mean`, the part of the
    patients of whom they are true. Tasks without a record have no lines."""
    out = []
    for task, label, own in by_method(suite, rows, "similarities"):
        found = [
            record_for(priors[task.modality.kind]["sha256"], row["effective"], row["samples"], row["scan"])[0]
            for row in own
        ]
        slices, record = _measured(own, folder), found[0]
        if record is None or any(one != record for one in found):
            continue
        known = {"task": task.name, "label": label, "patients": len({one.patient for one in slices})}
        for kind in (*KINDS, *BOUNDS):
            for level in LEVELS:
                promise = record.promises[kind][percent(level)]
                if (factor := promise.get("factor")) is not None:
                    parts = 1 - losses_of(slices, kind)(factor)
                    figures = {"least": float(parts.min()), "most": float(parts.max())}
                elif (shift := promise.get("shift")) is not None:
                    scores = overstated(slices, kind, 1 - level)
                    parts, figures = np.array([score <= shift for score in scores.values()]), {}
                else:
                    continue
                line = {"kind": kind, "level": percent(level), "mean": float(parts.mean()), **figures}
                out.append({**known, "calibrated_on": record.patients, **line})
    return out


def _measured(rows: Sequence[Row], folder: Path) -> list[MeasuredSlice]:
    return [
        MeasuredSlice(
            row["patient"],
            {kind: picture(folder, row, f"ratios {kind}") for kind in KINDS},
            row["similarities"],
        )
        for row in rows
    ]


def table_of_record(record: Record) -> dict[str, Any]:
    """What a record promises: `title`, `heads`, `rows` of words, for the page and the terminal."""
    rows = []
    for kind, words in IN_WORDS.items():
        for level in LEVELS:
            promise, certain = (record.promises[key][percent(level)] for key in (kind, "certain"))
            left = promise.get("left_out", [])
            rows.append(
                [
                    words,
                    f"{percent(level)} %",
                    _words_of(promise),
                    f"{min(left):.0%} – {max(left):.0%}" if left else "–",
                    _words_of(certain) if kind == "pixels" else "–",
                ]
            )
    heads = ["of", "promise", "factor or shift", "each left out: inside", "factor, certain to 90 %"]
    return {"title": f"{record.patients} patients", "heads": heads, "rows": rows}


def _words_of(promise: dict[str, Any]) -> str:
    if "needed" in promise:
        return f"takes {promise['needed']} patients"
    return f"{promise['factor']:.2f}" if "factor" in promise else f"{promise['shift']:+.3f}"


def table_of_held(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The same of `held` for one task and method."""
    rows = [
        [
            IN_WORDS[line["kind"]],
            f"{line['level']} %",
            f"{line['mean']:.0%}",
            f"{line['least']:.0%} – {line['most']:.0%}" if "least" in line else "–",
        ]
        for line in lines
    ]
    title = f"{lines[0]['patients']} patients; the calibration's {lines[0]['calibrated_on']} must be others"
    return {"title": title, "heads": ["of", "promise", "held", "patient by patient"], "rows": rows}


# --- a reconstruction
@dataclass(frozen=True, eq=False)
class Spread:
    """What may be said of the spread of a reconstruction.

    Attributes:
        record: that it is calibrated by; None where none is for such a scan.
        reasons: why not, in words.
        shown: the intervals, where they were asked for and there is a promise.
    """

    record: Record | None
    reasons: list[str]
    shown: Intervals | None = None

    @property
    def line(self) -> str:
        """In one line."""
        if self.record is None or self.reasons:
            return f"not calibrated for such scans: {'; '.join(self.reasons)}"
        hint = "" if self.shown else "; --interval 90 shows intervals"
        return f"calibrated for such scans on {self.record.patients} patients{hint}"

    @property
    def sentences(self) -> list[str]:
        """The intervals in two sentences, and what else must be said."""
        if self.record is None or self.shown is None:
            return []
        level, n = self.shown.level, self.record.patients
        where = "body" if self.record.family["modality"] == ["ct"] else "head"
        left = self.record.promises["pixels"][str(level)].get("left_out")
        tried = f"; each left out in turn, {min(left):.0%} to {max(left):.0%} of the pixels" if left else ""
        low, high = self.record.band(level)
        said = [
            f"Between the lower and the upper picture lies the truth in at least {level} % of the pixels inside the "
            f"{where}, on average over patients like the {n} of the calibration{tried}.",
            "That is no promise about a single pixel, a lesion or this one patient, and none where anatomy, disease or "
            "scanner differ from the calibration's, which cannot be checked here.",
            f"From {n} patients a coverage of {level} % is known to be {low:.0%} to {high:.0%}, in nine of ten choices "
            "of the patients, were each of them inside or outside as a whole; parts of pixels vary less.",
        ]
        if not self.shown.held:
            said.append(
                "The calibration's scans were simulated; a measured one has errors that no simulation has."
            )
        certain = self.record.promises["certain"][str(level)]
        if "needed" in certain:
            said.append(
                f"A promise that holds for nine of ten choices of the patients, not on average over them, takes "
                f"{certain['needed']} patients."
            )
        return said


def spread_facts(spread: Spread, slices: Sequence[int]) -> dict[str, Any]:
    """For the report, JSON-able: `line`; with intervals `level`, `sentences`, `patients`, `band`, `record`, and
    `by_slice`, a line a slice: the bounds, and what was held where the truth is known."""
    record, shown = spread.record, spread.shown
    out: dict[str, Any] = {"line": spread.line, "sentences": spread.sentences}
    if record is None or shown is None:
        return out
    by_slice = [
        {
            "slice": number,
            **{bound: round(float(values[z]), 4) for bound, values in shown.bounds.items()},
            **{f"held {kind}": round(float(parts[z]), 4) for kind, parts in shown.held.items()},
        }
        for z, number in enumerate(slices)
    ]
    factors = {kind: record.promises[kind][str(shown.level)]["factor"] for kind in shown.maps}
    return out | {
        "level": shown.level,
        "patients": record.patients,
        "band": list(record.band(shown.level)),
        "factors": factors,
        "record": record.name,
        "by_slice": by_slice,
    }


def promised(record: Record | None, reasons: list[str], level: int | None) -> Spread:
    """What `recon.records.record_for` found, and whether it has a promise of that level."""
    promise = {} if record is None or level is None else record.promises["pixels"][str(level)]
    if record is None or "needed" not in promise:
        return Spread(record, reasons)
    return Spread(
        record, [f"{level} % takes {promise['needed']} patients, the calibration has {record.patients}"]
    )


def spread_of(
    prior: str,
    found: Reconstruction,
    scan: dict[str, Any],
    level: int | None,
    display: Display,
) -> Spread:
    """Of a reconstruction by several samples.

    Args:
        prior: sha256 of the weights.
        scan: what kind it is (recon/family.py).
        level: percent of the intervals that are wanted, or None.

    Raises ValueError for a damaged record.
    """
    count = found.samples.shape[1]
    spread = promised(*record_for(prior, found.effective, count, scan), level)
    if (record := spread.record) is None or spread.reasons or level is None:
        return spread
    mean, samples = display.image(found.mean), [display.image(found.samples[:, s]) for s in range(count)]
    pixel = float(scan["pixel mm"])
    shown = intervals(record.promises, level, mean, np.stack(samples), display.truth, display.units, pixel)
    return Spread(record, [], shown)
