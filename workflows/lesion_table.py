"""The rows of inserted lesions put together: a line a kind, a line a class of d', the smallest that is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recon.lesion_figures import KEPT, TOLD, VERDICTS
from ..recon.metrics import bootstrap_interval
from ..recon.observer import channelised_hotelling, ideal_auc, laguerre_gauss
from .benchmark.rows import Row
from .benchmark.table import write_lines

CLASSES = {  # of the ideal observer's d': name -> from, to
    "d' of 5 and more": (5.0, np.inf),
    "d' 2 to 5": (2.0, 5.0),
    "d' below 2": (0.0, 2.0),
}
OF_RUN = ("task", "label")
OF_KIND = ("site", "contrast", "diameter_mm", "elongation")
HALF = 0.5  # of its lesions that a kind must keep to be called kept

Patches = tuple[NDArray[Any], NDArray[Any]]  # with lesions and without, (lesions, side, side) each
Line = dict[str, Any]


def lesions_of(rows: Sequence[Row]) -> list[Line]:
    """One line a lesion in one reconstruction, with its `task`, `label`, `patient`, `slice`, `kept` and `told`."""
    return [
        {
            **{key: row[key] for key in (*OF_RUN, "patient", "slice")},
            **lesion,
            "kept": lesion["recovery"] >= KEPT,
            "told": None if lesion["verdict"] is None else lesion["verdict"] in TOLD,
        }
        for row in rows
        for lesion in row.get("lesions", ())
    ]


def _grouped(lines: Iterable[Line], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Line]]:
    """Lines that are alike in some keys, in the order of the first of each."""
    out: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        out.setdefault(tuple(line[key] for key in keys), []).append(line)
    return out


def by_kind(rows: Sequence[Row]) -> list[Line]:
    """A line a task, method and kind of lesion: the kind's four fields, the medians of `detectability` and `ideal_auc`
    (None: noise-free data), and the figures of `_figures`."""
    out = []
    for (task, label), own in _grouped(lesions_of(rows), OF_RUN).items():
        kinds = _grouped(own, OF_KIND)
        for kind in sorted(kinds, key=lambda k: (k[0], -k[1], k[2], k[3])):
            found = kinds[kind]
            d = found[0]["detectability"] and float(np.median([one["detectability"] for one in found]))
            line: Line = {
                "task": task,
                "label": label,
                **dict(zip(OF_KIND, kind, strict=True)),
                "detectability": d,
            }
            out.append(line | {"ideal_auc": None if d is None else ideal_auc(d), **_figures(found)})
    return out


def by_size(rows: Sequence[Row], patches: dict[str, Patches]) -> list[Line]:
    """The channelised Hotelling observer, who does not know the contrast: a line a task, method, site and diameter with
    `lesions`, `auc`, `auc_low` and `auc_high` (95 % over patients), None of too few pictures or patients. Pictures of
    dark lesions are turned, so that all are bright.

    Args:
        patches: a row's key -> pictures around its lesions.
    """
    out = []
    for (task, label), own in _grouped((row for row in rows if "lesions" in row), OF_RUN).items():
        for site, mm in sorted({(one["site"], one["diameter_mm"]) for row in own for one in row["lesions"]}):
            chosen = [
                (row, i, one)
                for row in own
                for i, one in enumerate(row["lesions"])
                if (one["site"], one["diameter_mm"]) == (site, mm)
            ]
            present, absent = (
                np.stack([np.sign(one["contrast"]) * patches[row["key"]][k][i] for row, i, one in chosen])
                for k in (0, 1)
            )
            wide = mm / float(np.median([row["pixel_mm"] for row, _, _ in chosen]))
            channels = laguerre_gauss(present.shape[-1], max(wide, 2.0))
            seen = channelised_hotelling(present, absent, channels, [row["patient"] for row, _, _ in chosen])
            line: Line = {
                "task": task,
                "label": label,
                "site": site,
                "diameter_mm": mm,
                "lesions": len(chosen),
            }
            numbers = [finite(value) for value in seen] if seen else [None] * 3
            out.append(line | dict(zip(("auc", "auc_low", "auc_high"), numbers, strict=True)))
    return out


def by_class(rows: Sequence[Row]) -> list[Line]:
    """A line a task, method and class of detectability that has lesions: `class`, and the figures of `_figures`. Of
    noise-free data all are in the highest."""
    out = []
    for (task, label), found in _grouped(lesions_of(rows), OF_RUN).items():
        for name, (low, high) in CLASSES.items():
            own = [
                one
                for one in found
                if low <= (1e9 if one["detectability"] is None else one["detectability"]) < high
            ]
            if own:
                out.append({"task": task, "label": label, "class": name, **_figures(own)})
    return out


def _figures(found: Sequence[Line]) -> Line:
    """`lesions`, `patients`; means of `recovery` and `plain` (with `_low` and `_high`: 95 % bootstrap over patients);
    the part that is `kept`, `told` (the interval of its mean holds the truth), `kept_or_told`, and each of VERDICTS;
    `pixels`, and the roots of the mean squares of `unexplained` and `z`. None of single images for what samples say."""
    many = found[0]["verdict"] is not None
    kept, told = (np.array([bool(one[key]) for one in found]) for key in ("kept", "told"))
    verdicts, patients = ([one[key] for one in found] for key in ("verdict", "patient"))
    out: Line = {"lesions": len(found), "patients": len(set(patients))}
    for key in ("recovery", "plain"):
        values = bootstrap_interval([one[key] for one in found], patients, resamples=2000)
        out |= {key: values["mean"], **{f"{key}_{end}": finite(values[end]) for end in ("low", "high")}}
    out["kept"] = float(kept.mean())
    out["told"] = float(told.mean()) if many else None
    out["kept_or_told"] = float((kept | told).mean())
    out |= {name: verdicts.count(name) / len(found) if many else None for name in VERDICTS}
    out["pixels"] = float(np.mean([one["pixels"] for one in found])) if many else None
    for key in ("unexplained", "z"):
        known = [one[key] for one in found if one[key] is not None]
        out[key] = float(np.sqrt(np.mean(np.square(known)))) if known else None
    return out


def finite(value: float) -> float | None:
    """A number as JSON has it; None for what is none."""
    return float(value) if np.isfinite(value) else None


def false_of(rows: Sequence[Row]) -> list[Line]:
    """A line a task and method: false lesions a picture, `false`, with a 95 % interval over patients; and `slices`."""
    out = []
    for (task, label), own in _grouped((row for row in rows if "false" in row), OF_RUN).items():
        found = bootstrap_interval([row["false"] for row in own], [row["patient"] for row in own])
        line = {"task": task, "label": label, "slices": len(own), "false": found["mean"]}
        out.append(line | {f"false_{end}": finite(found[end]) for end in ("low", "high")})
    return out


def smallest(kinds: Sequence[Line], figure: str) -> list[Line]:
    """The smallest lesion that survives: a line a task, method, site and contrast, with `diameter_mm`, of which and of
    every larger one at least HALF have `figure` ("kept", "kept_or_told"); None where not even the largest does."""
    out: list[Line] = []
    names = (*OF_RUN, "site", "contrast")
    for group, own in _grouped(kinds, names).items():
        survived = None
        for line in sorted(own, key=lambda line: -line["diameter_mm"]):
            if line[figure] < HALF:
                break
            survived = line["diameter_mm"]
        largest = max(line["diameter_mm"] for line in own)
        out.append({**dict(zip(names, group, strict=True)), "diameter_mm": survived, "largest_mm": largest})
    return out


def write_csv(path: Path, lines: Sequence[Line]) -> None:
    """Lines of one kind as CSV; an empty file has no columns."""
    names = list(dict.fromkeys(key for line in lines for key in line))
    write_lines(path, names, lines)
