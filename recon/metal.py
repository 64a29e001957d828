"""Metal in a simulated CT scan: discs in the body, and the rays that cross them, which are lost.

The usual model of studies of metal artifacts once the metal's trace in the sinogram has been segmented: a ray through
metal says nothing, all others are as they would be without it. The metal is no part of the image, whose truth is the
body. Lengths in mm, places in the axes of geometry.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from ..geometry import Geometry

RADII = (2.0, 6.0)  # of the discs [mm]
_PARTS = 4  # of a detector element: a disc may cover some of it


@dataclass(frozen=True)
class Disc:
    """Centre and radius [mm]."""

    x: float
    y: float
    radius: float


def metal_discs(body: np.ndarray, pixel: float, count: int, seed: int) -> list[Disc]:
    """`count` discs of radii drawn from `RADII` at random places, a radius away from the border of the body; where it
    is nowhere as wide, in its middle.

    Args:
        body: (H, W) bool, the pixels inside the body.
        pixel: their size [mm].

    Raises:
        ValueError: for a body without pixels.
    """
    if not body.any():
        raise ValueError(
            "metal: got images without a body (no pixel above -200 HU), expected tissue to lie in"
        )
    rng, (H, W) = np.random.default_rng(seed), body.shape
    depth = (
        pixel * np.asarray(distance_transform_edt(np.pad(body, 1)))[1:-1, 1:-1]
    )  # to the next pixel outside
    discs = []
    for radius in rng.uniform(*RADII, count):
        row, column = rng.choice(np.argwhere(depth >= min(radius, depth.max())))
        discs.append(Disc((column - (W - 1) / 2) * pixel, ((H - 1) / 2 - row) * pixel, float(radius)))
    return discs


def crossed(geometry: Geometry, discs: Sequence[Disc]) -> np.ndarray:
    """(views, detectors) bool: the elements that see some of a disc."""
    origin, direction = geometry.refine(_PARTS).rays()
    lost = np.zeros(origin.shape[:2], bool)
    for disc in discs:
        across = direction[..., 0] * (disc.y - origin[..., 1]) - direction[..., 1] * (disc.x - origin[..., 0])
        lost |= np.abs(across) <= disc.radius
    return np.asarray(lost.reshape(*geometry.shape, _PARTS).any(-1))
