"""A slice's samples against its truth everywhere that a reader looks: pixels by region, means over discs, frequencies.

    inside, edge, lung, ...         pixels of a region (regions.py)
    discs of 3 mm, 5 mm, 10 mm      means over a disc around each pixel inside
    below 0.05, 0.05 to 0.1, ...    bands of spatial frequency, in cycles a pixel, inside

A spread can be right for pixels and wrong for regions, whose errors are what pixels' errors have in common.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration import BANDS, Calibration, bands, calibration, discs
from .regions import ct_regions, mr_regions

DISCS_MM = (3.0, 5.0, 10.0)
WHOLE = "inside"  # what one number of a slice is taken of


def by_place(
    samples: NDArray[Any], truth: NDArray[Any], units: str, pixel_mm: float
) -> dict[str, Calibration]:
    """The calibration of samples (S, H, W) against the truth (H, W) in each place; empty regions are left out. A slice
    without an inside counts as a whole.

    Args:
        units: "HU", or anything else for magnitudes.

    Raises:
        ValueError: fewer than 2 samples, complex images, other shapes.
    """
    regions = (ct_regions if units == "HU" else mr_regions)(truth)
    if not regions[WHOLE].any():
        regions = {WHOLE: np.ones(truth.shape, bool)}
    inside = regions[WHOLE]
    found = {name: calibration(samples, truth, mask) for name, mask in regions.items() if mask.any()}
    for mm in DISCS_MM:
        means, true = (discs(images, mm, pixel_mm) for images in (samples, truth))
        found[f"discs of {mm:g} mm"] = calibration(means, true, inside)
    edges = [f"below {BANDS[1]:g}", *(f"{low:g} to {high:g}" for low, high in pairwise(BANDS[1:]))]
    parts = zip([*edges, f"above {BANDS[-1]:g}"], bands(samples), bands(truth), strict=True)
    return found | {name: calibration(drawn, true, inside, power=True) for name, drawn, true in parts}
