"""The rows of inserted lesions put together: a line a kind, a line a class of d', the smallest that is kept."""

from __future__ import annotations

import csv
from collections.abc import Sequence
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


def by_kind(rows: Sequence[Row], patches: dict[str, Patches]) -> list[Line]:
    """A line a task, method and kind of lesion: the kind's four fields, `lesions`, `patients`, the medians of
    `detectability` and `ideal_auc` (None: noise-free data), the figures of `_figures`, and `auc` of the channelised
    Hotelling observer with `auc_low`, `auc_high` (95 % over patients; None of too few).

    Args:
        patches: a row's key -> pictures around its lesions.
    """
    out = []
    for task, label in dict.fromkeys((row["task"], row["label"]) for row in rows if "lesions" in row):
        own = [row for row in rows if (row["task"], row["label"]) == (task, label) and "lesions" in row]
        kinds = {tuple(lesion[key] for key in OF_KIND) for row in own for lesion in row["lesions"]}
        for kind in sorted(kinds, key=lambda k: (k[0], -k[1], k[2], k[3])):
            chosen = [
                (row["patient"], lesion, [patch[i] for patch in patches[row["key"]]], row["pixel_mm"])
                for row in own
                for i, lesion in enumerate(row["lesions"])
                if tuple(lesion[key] for key in OF_KIND) == kind
            ]
            patients, found, pictures, pixels = zip(*chosen, strict=True)
            present, absent = (np.stack(part) for part in zip(*pictures, strict=True))
            d = found[0]["detectability"] and float(np.median([one["detectability"] for one in found]))
            side, wide = present.shape[-1], kind[2] / float(np.median(pixels))
            seen = channelised_hotelling(present, absent, laguerre_gauss(side, max(wide, 2.0)), patients)
            line: Line = {
                "task": task,
                "label": label,
                **dict(zip(OF_KIND, kind, strict=True)),
                "detectability": d,
            }
            line |= {"ideal_auc": None if d is None else ideal_auc(d), **_figures(found, patients)}
            line |= dict(zip(("auc", "auc_low", "auc_high"), seen or (None,) * 3, strict=True))
            out.append(line)
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
    `pixels`, and `z`, the root of its mean square. None of single images for what samples say."""
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
    out["z"] = float(np.sqrt(np.mean([one["z"] ** 2 for one in found]))) if many else None
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
