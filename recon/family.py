"""What kind of scan a promise is for: the facts that can be read off a scan, and whether another one is of its kind.

    ct     beam, views, arc [degrees], photons (1 / variance of an unattenuated ray; 0 without noise), rays lost
    mri    acceleration, coils, snr [dB] (0 without noise), mask (how positions were chosen), coil maps (whence)
    both   modality, pixel mm, square pixels, rows, columns

Anatomy, scanner and disease are no such facts: a promise holds for patients like those of the calibration in these,
too, which is for people to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..operators.mri import CartesianMRI
from .baselines.supervised import measurement_of
from .problem import Problem

Facts = dict[str, Any]
Family = dict[str, list[Any]]  # a number: [least, greatest]; a word: those that there were
# How far beyond the calibration's a number may be: a ratio, or decibels. Others must be among them.
RATIOS = {"views": 1.05, "arc": 1.05, "photons": 1.25, "acceleration": 1.1, "pixel mm": 1.1}
RATIOS |= {"rows": 1.1, "columns": 1.1}
DECIBELS = {"snr": 3.0}
SQUARE = 0.01  # how far the sides of a square pixel may differ, relative


def facts_of(problem: Problem, pixel_mm: tuple[float, float] | None) -> Facts:
    """Of a scan. `pixel_mm`: sides of a pixel, None where they are not known. Raises ValueError for operators
    other than Radon and CartesianMRI."""
    rows, columns = problem.operator.domain[-2:]
    facts = {"modality": problem.modality.kind, **measurement_of(problem)}
    if isinstance(problem.operator, CartesianMRI):
        facts["mask"] = mask_kind(problem.operator.mask)
        facts["coil maps"] = problem.facts.get("coil_maps", "given with the data").partition(",")[0]
    sides = pixel_mm or (None, None)
    square = pixel_mm is None or abs(pixel_mm[0] / pixel_mm[1] - 1) < SQUARE
    return facts | {
        "pixel mm": sides[1],
        "square pixels": "yes" if square else "no",
        "rows": rows,
        "columns": columns,
    }


def mask_kind(mask: Tensor) -> str:
    """How the positions of k-space (..., ky, kx) were chosen outside of its centre: "all"; "every n-th line" where the
    gaps between lines are alike; "irregular lines"; "points"."""
    mask = mask.reshape(-1, *mask.shape[-2:])[0].bool().cpu()
    if bool(mask.all()):
        return "all"
    lines = next((mask.any(axis) for axis in (0, 1) if bool((mask == mask.any(axis, True)).all())), None)
    if lines is None:
        return "points"
    gaps = torch.nonzero(lines).flatten().diff()
    gaps = gaps[gaps > 1]  # lines beside each other are the centre's, and there two gaps may be smaller
    odd = int((gaps < gaps.max()).sum()) if len(gaps) else 0
    return "every n-th line" if odd <= 2 else "irregular lines"


def family_of(scans: Sequence[Facts]) -> Family:
    """What scans have in common: the ranges of their numbers, and their words."""
    out: Family = {}
    for key in dict.fromkeys(key for facts in scans for key in facts):
        values = [facts.get(key) for facts in scans]
        numbers = all(isinstance(value, int | float) for value in values)
        out[key] = [min(values), max(values)] if numbers else sorted(set(values), key=str)  # type: ignore[type-var]
    return out


def unlike(family: Family, facts: Facts) -> list[str]:
    """Where a scan is not of a family, in words; none where it is."""
    return [
        f"{key}: calibrated for {_words(known)}, the scan has {_words([facts.get(key)])}"
        for key, known in family.items()
        if not _within(key, known, facts.get(key))
    ]


def _within(key: str, known: list[Any], value: Any) -> bool:
    if not all(isinstance(one, int | float) for one in [*known, value]):
        return value in known
    low, high = known[0], known[-1]
    if low == 0 or value == 0:  # noise or none
        return low <= value <= high
    if key in DECIBELS:
        return low - DECIBELS[key] <= value <= high + DECIBELS[key]
    ratio = RATIOS.get(key, 1.0)
    return low / ratio <= value <= high * ratio


def _words(values: list[Any]) -> str:
    shown = [
        f"{one:.4g}" if isinstance(one, int | float) else "unknown" if one is None else str(one)
        for one in values
    ]
    shown = list(dict.fromkeys("none" if one == "0" else one for one in shown))
    numbers = all(isinstance(one, int | float) for one in values)
    return (" to " if numbers else " or ").join(shown)
