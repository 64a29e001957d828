"""Do line integrals fit their angles and their axis, whatever they show? Moments of a parallel beam (Helgason 1965,
Ludwig 1966), without any reconstruction.

    m0(theta) = ∫ p ds        is the object's mass, the same in each view
    m1(theta) = ∫ s p ds      is m0 (x cos theta + y sin theta), (x, y) its centre of mass

A wrong axis of rotation adds a constant to m1 / m0, wrong angles and motion take it off its sinusoid, a detector or
dose that drifts changes m0. Only for views that see all of the object, half of a half circle at least.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...geometry import Geometry, ParallelBeam
from ...operators.coverage import coverage

TRUNCATED = 0.02  # of the largest line integral, at an end of the detector
LEAST_VIEWS = 8


class Moments(NamedTuple):
    """How far views are from what one object at rest gives.

    Attributes:
        centre: where the axis seems to be, in detector elements from where it is said to be.
        sway: root mean square distance of the centres of mass from their sinusoid, in detector elements.
        mass: standard deviation of the views' mass over their mean.
    """

    centre: float
    sway: float
    mass: float


def moments(
    sinogram: NDArray[np.float32], geometry: Geometry, valid: NDArray[np.bool_] | None = None
) -> Moments | None:
    """Of a sinogram (views, detectors); None where nothing can be said: other beams, few views, less than a quarter
    turn, lost rays, objects larger than the detector."""
    p = np.asarray(sinogram, np.float64)
    quarter = coverage(geometry.angles, np.pi).covered >= np.pi / 2
    if not isinstance(geometry, ParallelBeam) or len(p) < LEAST_VIEWS or not quarter:
        return None
    if valid is not None and not valid.all():
        return None
    ends = np.abs(p[:, [0, -1]]).max()
    mass = p.sum(1)
    if ends > TRUNCATED * np.abs(p).max() or (mass <= 0).any():
        return None
    angles = np.asarray(geometry.angles)
    m1 = (p @ geometry.coordinates()) / mass / geometry.spacing
    basis = np.stack([np.cos(angles), np.sin(angles), np.ones_like(angles)], 1)
    found, *_ = np.linalg.lstsq(basis, m1, rcond=None)
    off = m1 - basis @ found
    return Moments(
        float(found[2]),
        float(np.sqrt((off**2).sum() / (len(p) - 3))),
        float(mass.std() / mass.mean()),
    )
