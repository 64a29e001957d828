"""Does the mask say what was measured? Lines that it has and that are empty, data where it has none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def contradictions(data: NDArray[np.complex64], mask: NDArray[np.bool_] | None) -> float:
    """Part of the columns of k-space (coils, ky, kx) that contradict a mask (ky, kx), None for one that is all True:
    empty where it says measured, or with data where it says not."""
    filled = (data != 0).any(0)
    says = np.ones(filled.shape, bool) if mask is None else np.asarray(mask, bool)
    columns = (filled & ~says).any(0) | (says.any(0) & ~(filled & says).any(0))
    return float(columns.mean())
