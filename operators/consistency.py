"""Do measured line integrals fit their geometry? Two rays along one line in opposite directions must agree.

Views around the object of a fan beam hold many such pairs; where the angles run the wrong way round the rays of a pair
see different lines, and no image explains both. No torch: `scanprior validate` asks too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..geometry import FanBeam, Geometry
from .coverage import coverage

LEAST_PAIRS = 500
PAIRS = 20_000  # looked at
DISAGREE = 0.03  # less is no reason for doubt


def opposite_rays(sinogram: np.ndarray, geometry: Geometry, valid: np.ndarray | None = None) -> float | None:
    """Root mean square difference of opposite rays over that of their line integrals; None with fewer than
    LEAST_PAIRS pairs within one view and one detector element. sinogram: (views, detectors); valid: the same, True
    where measured, None for everywhere."""
    from scipy.spatial import KDTree

    origin, direction = geometry.rays()
    angle = np.arctan2(direction[..., 1], direction[..., 0])
    distance = origin[..., 0] * direction[..., 1] - origin[..., 1] * direction[..., 0]
    turn = coverage(geometry.angles, 2 * np.pi).step
    step = float(np.median(np.abs(np.diff(distance, axis=1))))

    def lines(angle: np.ndarray, distance: np.ndarray) -> np.ndarray:  # in views and elements
        return np.stack([angle % (2 * np.pi) / turn % (2 * np.pi / turn), distance / step], -1).reshape(-1, 2)

    tree = KDTree(lines(angle, distance), boxsize=[2 * np.pi / turn, 0])
    some = slice(None, None, max(1, sinogram.size // PAIRS))
    nearest = tree.query(lines(angle + np.pi, -distance)[some], distance_upper_bound=1.0)
    gap, other = (np.asarray(part) for part in nearest)
    found = np.isfinite(gap)
    if valid is not None:
        measured = np.append(valid.reshape(-1), False)  # the last: no ray was found
        found &= measured[:-1][some] & measured[other]
    if found.sum() < LEAST_PAIRS:
        return None
    values = sinogram.reshape(-1).astype(np.float64)
    one, two = values[some][found], values[other[found]]
    return float(np.sqrt(np.mean((one - two) ** 2) / max(np.mean(one**2), 1e-30)))


def angles_reversed(sinogram: np.ndarray, geometry: Geometry, valid: np.ndarray | None = None) -> str | None:
    """What to say where a fan beam's angles seem to run the wrong way round, else None. Shapes as in
    `opposite_rays`."""
    if not isinstance(geometry, FanBeam):
        return None  # a parallel beam's image is only mirrored
    given = opposite_rays(sinogram, geometry, valid)
    if given is None or given < DISAGREE:
        return None
    other = opposite_rays(sinogram, replace(geometry, angles=tuple(-a for a in geometry.angles)), valid)
    if other is None or given < 2 * other:
        return None
    return (
        f"rays along the same line from opposite sides differ by {given:.0%}, by {other:.1%} if the angles run the "
        "other way round: reverse them (--angle-sign -1 or 1, where the file's layout leaves it open, or in the file)"
    )
