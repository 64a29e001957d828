"""The rows of a benchmark put together: means over slices, intervals over patients, one sample and the mean apart."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...formats.write import atomic
from ...modality import Modality
from ...recon.calibration import LEVELS, Calibration, average, interval
from ...recon.metrics import bootstrap_interval
from ...recon.places import WHOLE
from .rows import Row
from .suite import Suite, Task

METRICS = ("psnr", "ssim", "nrmse", "vif", "residual")
CALIBRATED: dict[str, Callable[[Calibration], float]] = {  # of several samples
    **{f"coverage_{level:.0%}".rstrip("%"): lambda found, k=level: found.coverage[k] for level in LEVELS},
    "width": lambda found: found.width,
    "spread_skill": lambda found: found.limit_spread_skill,
    "crps": lambda found: found.crps,
    "energy": lambda found: found.energy,
    "grain": lambda found: found.grain,
    "grain_of_mean": lambda found: found.grain_of_mean,
}
SPREAD = ("coverage_90", "spread_skill", "crps")  # of those, what a benchmark shows, inside the body
COST = ("nfe", "seconds", "memory_mib")
FLOOR = {Modality.CT: "fbp", Modality.MR: "zero-filled"}  # what every method must beat


def summary(suite: Suite, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a task, method and picture (one sample; mean of n): `task`, `label`, `method` (with the picture),
    `slices`, `patients`, means of METRICS (None where a slice has none), `psnr_low` and `psnr_high` (95 % bootstrap
    over patients; None of one), the same of each of SPREAD for the mean, `nfe` (in all), `seconds` (a slice),
    `memory_mib`, and `floor`: "below" where the PSNR is less than that of FBP or zero-filling."""
    out: list[dict[str, Any]] = []
    for task in suite.tasks:
        own = [row for row in rows if row["task"] == task.name]
        bottom = [row["one"]["psnr"] for row in own if row["label"] == FLOOR[task.modality] and "one" in row]
        for label in dict.fromkeys(row["label"] for row in own):
            part = [row for row in own if row["label"] == label]
            failed = [row for row in part if "error" in row]
            if failed:
                out.append({"task": task.name, "label": label, "method": label, "error": failed[0]["error"]})
                continue
            for kind in ("one", "mean"):
                if kind in part[0]:
                    line = _line(task.name, label, part, kind)
                    if bottom and label != FLOOR[task.modality]:
                        line["floor"] = "below" if line["psnr"] < np.mean(bottom) else "above"
                    out.append(line)
    return out


def by_method(suite: Suite, rows: Sequence[Row], key: str) -> Iterator[tuple[Task, str, list[Row]]]:
    """A suite's tasks and methods, each with its rows that have `key`; those without any are left out."""
    for task in suite.tasks:
        for label in suite.methods:
            own = [row for row in rows if (row["task"], row["label"]) == (task.name, label) and key in row]
            if own:
                yield task, label, own


def refusals(rows: Sequence[Row]) -> list[str]:
    """Methods that refused, and why, a line each."""
    return list({f"{row['task']}: {row['label']}: {row['error']}": None for row in rows if "error" in row})


def _line(task: str, label: str, rows: Sequence[Row], kind: str) -> dict[str, Any]:
    samples = rows[0]["samples"]
    name = label
    if samples > 1:
        name = f"{label}, one sample" if kind == "one" else f"{label}, mean of {samples}"
    drawn = samples if kind == "mean" else 1
    values = {key: [row[kind][key] for row in rows] for key in METRICS}
    patients = len({row["patient"] for row in rows})
    interval = bootstrap_interval(values["psnr"], [row["patient"] for row in rows])
    memory = [row["memory_mib"] for row in rows if row["memory_mib"] is not None]
    return {
        "task": task,
        "label": label,
        "method": name,
        "slices": len(rows),
        "patients": patients,
        **{key: None if None in values[key] else float(np.mean(values[key])) for key in METRICS},
        **{f"psnr_{end}": interval[end] if patients > 1 else None for end in ("low", "high")},
        **(calibrated(by_patient(rows, WHOLE), SPREAD) if kind == "mean" else {}),
        "nfe": rows[0]["nfe"] * drawn,
        "seconds": float(np.mean([row["seconds"] for row in rows])) * drawn,
        "memory_mib": max(memory) if memory else None,
    }


def calibrated(patients: Sequence[Calibration], keys: Iterable[str] = CALIBRATED) -> dict[str, float | None]:
    """Figures of the patients' mean, `key`, with 95 % bootstrap intervals over patients, `key_low` and `key_high`; None
    for what is no number."""
    whole, out = average(patients), {}
    for key in keys:
        low, high = interval(patients, CALIBRATED[key])
        out |= {key: CALIBRATED[key](whole), f"{key}_low": low, f"{key}_high": high}
    return {key: float(value) if math.isfinite(value) else None for key, value in out.items()}


def by_patient(rows: Sequence[Row], place: str) -> list[Calibration]:
    """The calibration in a place, each patient's slices pooled; of patients who have the place."""
    found: dict[int, list[Calibration]] = {}
    for row in rows:
        if place in row.get("calibration", {}):
            one = Calibration.from_dict(row["calibration"][place])
            found.setdefault(row["patient"], []).append(one)
    return [average(slices) for slices in found.values()]


def write_lines(path: Path, names: Sequence[str], lines: Iterable[dict[str, Any]]) -> None:
    """Lines as CSV: of each what `names` says, in this order."""
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(lines)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """All rows, one line a picture."""
    names = ["task", "label", "patient", "slice", "picture", *METRICS, *SPREAD, *COST, "error"]
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writerow({name: "method" if name == "label" else name for name in names})
        for row in rows:
            pictures = [kind for kind in ("one", "mean") if kind in row]
            for kind in pictures or [""]:
                spread = calibrated(by_patient([row], WHOLE), SPREAD) if kind == "mean" else {}
                writer.writerow({**row, "picture": kind, **row.get(kind, {}), **spread})


def ranked(rows: Sequence[Row], task: str) -> list[Row]:
    """The pictures of the slice on which the task's best method does worst, of all methods from best to worst; best by
    the mean PSNR over the slices. Empty where no method ended well."""
    own = [row for row in rows if row["task"] == task and "one" in row]
    if not own:
        return []
    labels = list(dict.fromkeys(row["label"] for row in own))
    best = max(
        labels, key=lambda label: np.mean([final(row)["psnr"] for row in own if row["label"] == label])
    )
    worst = min((row for row in own if row["label"] == best), key=lambda row: final(row)["psnr"])
    same = [row for row in own if all(row[key] == worst[key] for key in ("patient", "slice"))]
    return sorted(same, key=lambda row: -final(row)["psnr"])


def final(row: Row) -> dict[str, float]:
    """The figures of the mean, where there are several samples."""
    return row.get("mean", row["one"])
