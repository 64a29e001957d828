"""Data that the reconstruction did not see: some views or lines are held out, the scan is reconstructed from the rest,
and what it says of them is compared with what was measured there.

No truth is needed, and no prior is believed: a wrong prior, geometry, mask or coil map, motion and metal all predict
badly what comes next. The error is |A x - y| over |y|, both without the noise's share. Held out are every eighth view,
or every sixth line of k-space outside of its fully sampled centre, the prior's own part of the spectrum.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...operators.acs import acs_size
from ..problem import Problem

VIEWS, LINES = 8, 6
LEAST_VIEWS = 8


def held_out_views(views: int) -> NDArray[np.bool_] | None:
    """(views,): which are held out; None of too few."""
    return np.arange(views) % VIEWS == VIEWS // 2 if views >= LEAST_VIEWS else None


def held_out_samples(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Of a mask (ky, kx): columns where whole columns were measured, else single positions; None of too few."""
    outer, (ny, nx) = mask.copy(), acs_size(mask)
    H, W = mask.shape
    top, left = H // 2 - ny // 2, W // 2 - nx // 2
    outer[top : top + ny, left : left + nx] = False
    columns = outer.all(0)
    found = np.zeros_like(mask)
    if (mask == mask[:1]).all():
        found[:, np.flatnonzero(columns)[LINES // 2 :: LINES]] = True
    else:
        found.ravel()[np.flatnonzero(outer)[LINES // 2 :: LINES]] = True
    return found if found.any() else None


@torch.no_grad()
def missed(problem: Problem, images: Tensor, held: Tensor) -> list[float]:
    """The relative error in the data that were held out, slice by slice.

    Args:
        problem: with all data.
        images: (B, H, W) in the units of the scan, reconstructed without them.
        held: bool, broadcastable to y.
    """
    own = problem.in_own_unit()
    error = held * (own.operator(images.to(own.y.device) / own.unit) - own.y)
    noise = 0.0 if own.noise is None else 1 / own.noise.weights(own.y)
    expected = (held * noise * torch.ones_like(own.y.abs())).flatten(1).sum(1, dtype=torch.float64)
    off, whole = (
        x.abs().square().flatten(1).sum(1, dtype=torch.float64) - expected for x in (error, held * own.y)
    )
    return [
        math.sqrt(max(float(a), 0.0) / float(b)) if b > 0 else math.nan
        for a, b in zip(off, whole, strict=True)
    ]
