"""The rows of inserted lesions put together: a line a kind, a line a class of d', the smallest that is kept."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formats.write import atomic
from ..recon.lesion_figures import KEPT, VERDICTS
from ..recon.metrics import bootstrap_interval
from ..recon.observer import channelised_hotelling, ideal_auc, laguerre_gauss
from .benchmark.rows import Row

CLASSES = {  # of the ideal observer's d': name -> from, to
    "d' of 5 and more": (5.0, np.inf),
    "d' 2 to 5": (2.0, 5.0),
    "d' below 2": (0.0, 2.0),
}
OF_KIND = ("site", "contrast", "diameter_mm", "elongation")
HALF = 0.5  # of its lesions that a kind must keep to be called kept

Patches = tuple[NDArray[Any], NDArray[Any]]  # with lesions and without, (lesions, side, side) each
Line = dict[str, Any]


def lesions_of(rows: Sequence[Row]) -> list[Line]:
    """One line a lesion in one reconstruction, with its `task`, `label`, `patient`, `slice`, `kept` and `told`."""
    own = ("task", "label", "patient", "slice")
    return [
        {
            **{key: row[key] for key in own},
            **lesion,
            "kept": lesion["recovery"] >= KEPT,
            "told": None if lesion["verdict"] is None else lesion["verdict"] in ("found", "open"),
        }
        for row in rows
        for lesion in row.get("lesions", ())
    ]


def by_kind(rows: Sequence[Row]) -> list[Line]:
    """A line a task, method and kind of lesion: the kind's four fields, the medians of `detectability` and `ideal_auc`
    (None: noise-free data), and the figures of `_figures`."""
    out = []
    for task, label, own in _parts(rows):
        kinds = {tuple(lesion[key] for key in OF_KIND) for row in own for lesion in row["lesions"]}
        for kind in sorted(kinds, key=lambda k: (k[0], -k[1], k[2], k[3])):
            chosen = [
                (row["patient"], lesion)
                for row in own
                for lesion in row["lesions"]
                if tuple(lesion[key] for key in OF_KIND) == kind
            ]
            patients, found = zip(*chosen, strict=True)
            d = found[0]["detectability"] and float(np.median([one["detectability"] for one in found]))
            line: Line = {
                "task": task,
                "label": label,
                **dict(zip(OF_KIND, kind, strict=True)),
                "detectability": d,
            }
            out.append(line | {"ideal_auc": None if d is None else ideal_auc(d), **_figures(found, patients)})
    return out


def _parts(rows: Sequence[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    """Task, method and their rows, without those of methods that refused."""
    sound = [row for row in rows if "lesions" in row]
    for task, label in dict.fromkeys((row["task"], row["label"]) for row in sound):
        yield task, label, [row for row in sound if (row["task"], row["label"]) == (task, label)]


def by_size(rows: Sequence[Row], patches: dict[str, Patches]) -> list[Line]:
    """The channelised Hotelling observer, who does not know the contrast: a line a task, method, site and diameter with
    `lesions`, `auc`, `auc_low` and `auc_high` (95 % over patients; None of too few pictures). Pictures of dark lesions
    are turned, so that all are bright.

    Args:
        patches: a row's key -> pictures around its lesions.
    """
    out = []
    for task, label, own in _parts(rows):
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
            out.append(line | dict(zip(("auc", "auc_low", "auc_high"), seen or (None,) * 3, strict=True)))
    return out


def by_class(rows: Sequence[Row]) -> list[Line]:
    """A line a task, method and class of detectability that has lesions: `class`, and the figures of `_figures`. Of
    noise-free data all are in the highest."""
    out, found = [], lesions_of(rows)
    for task, label in dict.fromkeys((one["task"], one["label"]) for one in found):
        for name, (low, high) in CLASSES.items():
            own = [
                one
                for one in found
                if (one["task"], one["label"]) == (task, label)
                and low <= (1e9 if one["detectability"] is None else one["detectability"]) < high
            ]
            if own:
                figures = _figures(own, [one["patient"] for one in own])
                out.append({"task": task, "label": label, "class": name, **figures})
    return out


def _figures(found: Sequence[Line], patients: Sequence[int]) -> Line:
    """`lesions`, `patients`; means of `recovery` and `plain` (with `_low` and `_high`: 95 % bootstrap over patients);
    the part that is `kept`, `told` (the interval of its mean holds the truth), `kept_or_told`, and each of VERDICTS;
    `pixels`, and the roots of the mean squares of `unexplained` and `z`. None of single images for what samples say."""
    many = found[0]["verdict"] is not None
    kept = np.array([one["recovery"] >= KEPT for one in found])
    verdicts = [one["verdict"] for one in found]
    told = np.array([verdict in ("found", "open") for verdict in verdicts])
    out: Line = {"lesions": len(found), "patients": len(set(patients))}
    for key in ("recovery", "plain"):
        values = bootstrap_interval([one[key] for one in found], list(patients), resamples=2000)
        out |= {key: values["mean"], **{f"{key}_{end}": _number(values[end]) for end in ("low", "high")}}
    out["kept"] = float(kept.mean())
    out["told"] = float(told.mean()) if many else None
    out["kept_or_told"] = float((kept | told).mean())
    out |= {name: verdicts.count(name) / len(found) if many else None for name in VERDICTS}
    out["pixels"] = float(np.mean([one["pixels"] for one in found])) if many else None
    for key in ("unexplained", "z"):
        known = [one[key] for one in found if one[key] is not None]
        out[key] = float(np.sqrt(np.mean(np.square(known)))) if known else None
    return out


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def false_of(rows: Sequence[Row]) -> list[Line]:
    """A line a task and method: false lesions a picture, `false`, with a 95 % interval over patients; and `slices`."""
    out = []
    for task, label in dict.fromkeys((row["task"], row["label"]) for row in rows if "false" in row):
        own = [row for row in rows if (row["task"], row["label"]) == (task, label) and "false" in row]
        found = bootstrap_interval([row["false"] for row in own], [row["patient"] for row in own])
        line = {"task": task, "label": label, "slices": len(own), "false": found["mean"]}
        out.append(line | {f"false_{end}": _number(found[end]) for end in ("low", "high")})
    return out


def smallest(kinds: Sequence[Line], figure: str) -> list[Line]:
    """The smallest lesion that survives: a line a task, method, site and contrast, with `diameter_mm`, of which and of
    every larger one at least HALF have `figure` ("kept", "kept_or_told"); None where not even the largest does."""
    out: list[Line] = []
    names = ("task", "label", "site", "contrast")
    for group in dict.fromkeys(tuple(line[name] for name in names) for line in kinds):
        own = [line for line in kinds if tuple(line[name] for name in names) == group]
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
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(lines)
