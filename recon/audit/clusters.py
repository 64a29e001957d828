"""Do the samples fall into groups? Two pictures that agree with the data alike are worth more than the mean of both.

Patch by patch the samples are split at the widest gap of their minimum spanning tree (single linkage), and the gap is
compared with the largest distance within a group (the separation of Dunn 1974). Samples that differ by noise of many
pixels are all about as far from each other, and the ratio is about 1; groups have more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PATCH, STRIDE = 16, 8
LEAST = 4  # samples, of which two groups of two can be made


class Groups(NamedTuple):
    """The patch whose samples fall apart most.

    Attributes:
        separation: gap over the largest distance within a group; 1 or less is none.
        row, column: the middle of the patch.
        difference: root mean square difference of the groups' means there.
        sizes: how many samples are in each.
    """

    separation: float
    row: int
    column: int
    difference: float
    sizes: tuple[int, int]


def groups(samples: NDArray[np.float32]) -> Groups | None:
    """Of samples (S, H, W); None for fewer than four, or images smaller than a patch. Patches where they differ least,
    the lower half, are not looked at."""
    S, H, W = samples.shape
    if S < LEAST or min(H, W) < PATCH:
        return None
    rows, columns = (range(0, n - PATCH + 1, STRIDE) for n in (H, W))
    places = [(i, j) for i in rows for j in columns]
    patches = np.stack([samples[:, i : i + PATCH, j : j + PATCH].reshape(S, -1) for i, j in places])
    spread = patches.std(1).mean(1)
    found = [
        _apart(patch, i, j)
        for patch, (i, j), wide in zip(patches, places, spread >= np.median(spread), strict=True)
        if wide and patch.any()
    ]
    return max((one for one in found if one is not None), key=lambda one: one.separation, default=None)


def _apart(patch: NDArray[np.float32], row: int, column: int) -> Groups | None:
    """The two groups of a patch's samples (S, pixels), where each has two at least."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist, squareform

    distances = pdist(patch.astype(np.float64))
    first = fcluster(linkage(distances, "single"), 2, "maxclust") == 1
    if min(first.sum(), (~first).sum()) < 2:
        return None
    square = squareform(distances)
    gap = square[np.ix_(first, ~first)].min()
    within = max(square[np.ix_(side, side)].max() for side in (first, ~first))
    apart = patch[first].mean(0) - patch[~first].mean(0)
    middle = PATCH // 2
    return Groups(
        float(gap / max(within, 1e-30)),
        row + middle,
        column + middle,
        float(np.sqrt(np.mean(apart.astype(np.float64) ** 2))),
        (int(first.sum()), int((~first).sum())),
    )
