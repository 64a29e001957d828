"""Where in an image a figure is taken: regions told from the truth, for calibration and benchmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[Any]
Masks = dict[str, NDArray[np.bool_]]
BODY_HU = -500.0  # between lung or air and everything else
LUNG_HU = (-950.0, -500.0)
SOFT_HU = (-150.0, 150.0)
EDGE_HU = 150.0  # a step of this much over two pixels
HEAD, STEP = 0.05, 0.1  # of the maximum (99.8 %): what is object, and what is an edge


def ct_regions(truth: Array) -> Masks:
    """Regions of one slice (H, W) in HU: `background`, `inside` (the body with its lungs), and of the inside `edge`
    and, off the edges, `lung` and `soft tissue`. A region may be empty."""
    inside = _filled(truth > BODY_HU)
    edge = inside & (_step(truth) > EDGE_HU)
    lung, soft = ((truth > low) & (truth < high) & inside & ~edge for low, high in (LUNG_HU, SOFT_HU))
    return {"inside": inside, "edge": edge, "lung": lung, "soft tissue": soft, "background": ~inside}


def mr_regions(truth: Array) -> Masks:
    """Regions of one slice of magnitudes (H, W): `background`, `inside`, and of the inside `edge` and `flat`."""
    top = float(np.quantile(truth, 0.998))
    inside = _filled(ndimage.gaussian_filter(truth, 1.0) > HEAD * top)
    edge = inside & (_step(truth) > STEP * top)
    return {"inside": inside, "edge": edge, "flat": inside & ~edge, "background": ~inside}


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part of a mask without its thinnest bridges (the table), with its holes."""
    parts = np.zeros(mask.shape, np.int32)
    ndimage.label(ndimage.binary_opening(mask, iterations=2), output=parts)
    if not parts.any():
        return np.zeros_like(mask)
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    grown: Any = ndimage.binary_dilation(largest, iterations=2)
    filled: Any = ndimage.binary_fill_holes(grown & mask)
    return filled


def _step(image: Array) -> Array:
    """Greatest difference across each pixel along rows or columns."""
    down, across = np.gradient(image)
    return 2 * np.maximum(np.abs(down), np.abs(across))
