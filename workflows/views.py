"""Some of the views of a measured CT scan: the study of few views and of limited angles, on real data."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..errors import UsageError
from ..formats.scan import Scan


def of_views(scan: Scan, views: str | None = None, arc: str | None = None) -> Scan:
    """The scan with some of its views.

    Args:
        views: "0::9", first, last (left out) and step as in Python, or "0,30,60": numbers, from 0.
        arc: "0:120", the views from 0 to below 120 degrees, whole turns aside; of those that `views` leaves.

    Raises:
        UsageError: no such views, or none at all; a scan that is no CT.
    """
    if views is None and arc is None:
        return scan
    if scan.geometry is None:
        raise UsageError("--views and --arc choose views of a CT scan; this is none")
    geometry, count = scan.geometry, scan.geometry.views
    chosen = np.arange(count) if views is None else _index(views, count)
    if arc is not None:
        chosen = chosen[_within(np.degrees(np.asarray(geometry.angles)[chosen]), arc)]
    if not len(chosen):
        raise UsageError(f"--views {views}, --arc {arc}: none of the {count} views is left")
    said = f"{len(chosen)} of {count} views were taken"
    return replace(
        scan,
        data=scan.data[:, chosen],
        counts=None if scan.counts is None else scan.counts[:, chosen],
        mask=None if scan.mask is None else np.asarray(scan.mask)[chosen],
        geometry=geometry.subset(chosen),
        remarks=(*scan.remarks, said),
    )


def _index(text: str, count: int) -> np.ndarray:
    """The numbers of the views that a text chooses."""
    try:
        if ":" in text:
            return np.arange(count)[slice(*(int(part) if part else None for part in text.split(":")))]
        chosen = np.array([int(part) for part in text.split(",")])
    except (ValueError, TypeError):
        raise UsageError(f"--views: got {text!r}, expected 0::9 or 0,30,60") from None
    if chosen.min() < 0 or chosen.max() >= count:
        raise UsageError(f"--views: got {text!r}, expected numbers from 0 to {count - 1}")
    if len(set(chosen)) < len(chosen):
        raise UsageError(
            f"--views: got {text!r}, expected each view once: twice counted is not twice measured"
        )
    return chosen


def _within(degrees: np.ndarray, arc: str) -> np.ndarray:
    """Which angles lie in an arc."""
    try:
        first, last = (float(part) for part in arc.split(":"))
    except ValueError:
        raise UsageError(f"--arc: got {arc!r}, expected degrees like 0:120") from None
    if not -math.inf < first < last < math.inf:
        raise UsageError(f"--arc: got {arc!r}, expected two finite angles, the smaller one first")
    return (degrees - first + 1e-6) % 360 < last - first  # angles in radians are off by a rounding
