"""What is usual: the figures of in-family scans, reconstructed as the audit does, patient by patient.

A reference belongs to a prior (the sha256 of its weights) and holds families: a kind of measurement (beam, views, arc,
photons; acceleration, coils, signal-to-noise ratio), the method, and for each patient the figures of his slices. A
figure's score is the distance of its logarithm from the family's median in its standard deviations (1.4826 times the
median absolute deviation); a scan is flagged where its largest score is above z. z is the conformal quantile of the
largest scores of patients of references, each compared with the others of his family: a new in-family patient exceeds
it in RATE of all cases, or where there are too few patients for that, with a probability of 1 / (n + 1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .checks import RATE, Range, check_of

LEAST_SCALE = 0.05  # of logarithms: figures that are alike to 5 % are alike
FLOOR = 1e-4  # of figures, before their logarithm is taken
LEAST_PATIENTS = 4
OF_DATA = ("noise", "centre", "sway", "mass", "mask", "unseen")  # whichever method reconstructs
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Family:
    """Scans of one kind, reconstructed alike.

    Attributes:
        measurement: what kind (recon/baselines/supervised.py, `measurement_of`).
        method: that reconstructed them.
        patients: for each, by the hash of his scan or a number, the figures of his slices.
        source: which images, in words.
    """

    measurement: dict[str, Any]
    method: str
    patients: dict[str, list[dict[str, float]]]
    source: str = ""


@dataclass(frozen=True)
class Usual:
    """What is usual for a scan.

    Attributes:
        ranges: name of the figure -> (low, high).
        patients: that the rate was found on.
        rate: of in-family scans that are flagged.
        own: whether the families are of the scan's own kind of measurement.
        like: whether they were reconstructed by the scan's method.
        families: which they are, in words.
    """

    ranges: dict[str, Range]
    patients: int
    rate: float
    own: bool
    like: bool
    families: list[str]


def usual_of(
    families: Sequence[Family], same: Sequence[Family], own: bool = True, like: bool = True
) -> Usual:
    """What is usual in the families `same`, with the z of all `families`.

    Args:
        own: whether they are of the scan's own kind of measurement, and not merely all that there are.
        like: whether the scan's method made them; of another one only figures of the data count.

    Raises:
        ValueError: no patient.
    """
    values = [slice_ for family in same for patient in family.patients.values() for slice_ in patient]
    if not values:
        raise ValueError("got families without a patient, expected a reference")
    z, rate, patients = threshold(families)
    ranges = {}
    for name in dict.fromkeys(name for one in values for name in one if like or name in OF_DATA):
        middle, scale = _centre([one[name] for one in values if name in one])
        low = 0.0 if check_of(name).limits[0] == 0 else math.exp(middle - z * scale)
        ranges[name] = (low, math.exp(middle + z * scale))
    return Usual(ranges, patients, rate, own, like, [_words(family) for family in same])


def threshold(families: Sequence[Family], rate: float = RATE) -> tuple[float, float, int]:
    """z, the rate at which in-family patients are flagged, and the patients that it was found on."""
    largest = sorted(
        max(scores(own, [s for other, figures in family.patients.items() if other != name for s in figures]))
        for family in families
        if len(family.patients) >= LEAST_PATIENTS
        for name, own in family.patients.items()
    )
    n = len(largest)
    if not n:
        return 4.0, math.nan, 0
    k = math.ceil((n + 1) * (1 - rate))
    return (largest[k - 1], rate, n) if k <= n else (largest[-1], 1 / (n + 1), n)


def scores(patient: Sequence[Figures], others: Sequence[Figures]) -> list[float]:
    """The scores of a patient's figures among those of others; 0 for what is harmless."""
    out = [0.0]
    for name in {name for one in patient for name in one}:
        middle, scale = _centre([one[name] for one in others if name in one])
        low, high = check_of(name).harmless
        for one in patient:
            value = one.get(name, math.nan)
            if math.isfinite(value) and not low <= value <= high:
                distance = (math.log(max(value, FLOOR)) - middle) / scale
                out.append(distance if check_of(name).limits[0] == 0 else abs(distance))
    return out


def _centre(values: Sequence[float]) -> tuple[float, float]:
    """Median and standard deviation of the logarithms, robust."""
    logs = np.log(np.maximum([v for v in values if math.isfinite(v)] or [1.0], FLOOR))
    middle = float(np.median(logs))
    return middle, max(1.4826 * float(np.median(np.abs(logs - middle))), LEAST_SCALE)


def _words(family: Family) -> str:
    measurement = ", ".join(f"{key} {value}" for key, value in family.measurement.items())
    return f"{family.method}, {measurement}: {len(family.patients)} patients"
