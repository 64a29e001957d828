"""What a reconstruction kept of inserted lesions, what it says of them, and which it made up.

Taken over the lesion: the pixels of which at least half as much is lesion as of its fullest. `with` and `without` are
reconstructions of one slice measured with and without the lesion, the noise the same to the last photon; bars are means
over the lesion.

    recovery    (with - without) / (true with - true without)            of the method alone: nothing else differs
    plain       the same of (lesion - ring around it) of `with` alone, the anatomy's own taken off: what a reader sees
    z           (mean of the samples - truth) / their standard deviation, of the lesion's mean

**What the interval of the lesion's mean says**, m ± t s √(1 + 1/S) with Student's t as in calibration.py. It may hold
the truth, and it may hold what would be there without the lesion:

                        holds no background     holds the background
    holds the truth     "found"                 "open"       the picture does not decide, and says so
    holds no truth      "off"                   "denied"     sure that there is nothing: the one a reader must fear

**False lesions** are blobs of a reconstruction (the mean over a disc less that of the ring around it), in tissue off
the edges and off the true lesions, of more than a threshold, of which the truth has less than half; the strongest
within a disc's diameter counts.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .calibration import discs, student

Array = NDArray[Any]
LEVEL = 0.9
GAP, RING = 1.5, 3.0  # pixels between a lesion and the ring around it; the ring's width
KEPT = 0.6  # of the contrast, with which a lesion counts as kept
VERDICTS = ("found", "open", "denied", "off")
TOLD = ("found", "open")  # of which the interval holds the truth


@dataclass(frozen=True)
class LesionFigures:
    """Of one lesion in one reconstruction; see the module. None of what a single image does not say.

    Attributes:
        recovery, plain: parts of the true contrast.
        true: what the lesion adds to its own mean, in display units: less than its contrast where it is small.
        error: of the mean of the lesion's mean, in display units.
        spread: standard deviation of the lesion's mean over the samples.
        z: error / spread.
        pixels: part of the lesion's pixels whose 90 % interval holds their truth.
        verdict: of the interval of the lesion's mean, one of VERDICTS.
    """

    recovery: float
    plain: float
    true: float
    error: float
    spread: float | None = None
    z: float | None = None
    pixels: float | None = None
    verdict: str | None = None

    @property
    def kept(self) -> bool:
        """Whether its contrast is there."""
        return self.recovery >= KEPT

    @property
    def told(self) -> bool:
        """Whether the interval of its mean holds the truth."""
        return self.verdict in TOLD

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def within(fraction: Array) -> NDArray[np.bool_]:
    """The pixels of a lesion, of how much of each is lesion (H, W)."""
    return fraction >= 0.5 * fraction.max()


def lesion_figures(with_: Array, without: Array, truth: Array, bare: Array, fraction: Array) -> LesionFigures:
    """The figures of one lesion, everything in display units.

    Args:
        with_: samples (S, H, W) of the slice measured with it.
        without: the first of them again, by the same noise, of the slice measured without it: (S or fewer, H, W).
        truth, bare: the slice with and without it, (H, W).
        fraction: how much of each pixel is this lesion, (H, W).
    """
    lesion, ring = within(fraction), _ring(fraction)
    means, before = (samples[:, lesion].mean(1, dtype=np.float64) for samples in (with_, without))  # (S,)
    target, background = (float(image[lesion].mean(dtype=np.float64)) for image in (truth, bare))
    added, mean = target - background, float(means.mean())
    recovery = float((means[: len(before)] - before).mean()) / added
    around = float(with_[:, ring].mean() - truth[ring].mean()) if ring.any() else math.nan
    plain = (mean - background - around) / added
    if len(means) < 2:
        return LesionFigures(recovery, plain, added, mean - target)
    spread, half = float(means.std(ddof=1)), student(LEVEL, len(means))
    held = [abs(mean - value) <= half * spread for value in (target, background)]
    verdict = ("found", "open")[held[1]] if held[0] else ("off", "denied")[held[1]]
    pixels = with_[:, lesion].astype(np.float64)
    inside = np.abs(pixels.mean(0) - truth[lesion]) <= half * pixels.std(0, ddof=1)
    z = (mean - target) / max(spread, 1e-12)
    return LesionFigures(recovery, plain, added, mean - target, spread, z, float(inside.mean()), verdict)


def _ring(fraction: Array) -> NDArray[np.bool_]:
    away: Any = ndimage.distance_transform_edt(fraction == 0)
    return (away > GAP) & (away <= GAP + RING)


def false_lesions(
    image: Array,
    truth: Array,
    tissue: NDArray[np.bool_],
    lesions: NDArray[np.bool_],
    threshold: float,
    diameter_mm: float,
    pixel_mm: float,
) -> int:
    """How many lesions a reconstruction (H, W) made up.

    Args:
        tissue: where to look.
        lesions: where the true ones are.
        threshold: of the contrast of disc and ring, in display units.
        diameter_mm: of the disc; the ring reaches to twice that.
    """
    made, true = (_blobs(one, diameter_mm, pixel_mm) for one in (image, truth))
    strength, radius = np.abs(made), diameter_mm / pixel_mm
    reach = max(1, round(radius))
    i, j = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    peak = strength == ndimage.maximum_filter(strength, footprint=i * i + j * j <= reach * reach)
    absent = np.sign(made) * true < strength / 2
    far = np.ones(image.shape, bool)
    if lesions.any():
        away: Any = ndimage.distance_transform_edt(~lesions)
        far = away > radius
    found = peak & absent & (strength > threshold) & tissue & far
    parts = np.zeros(image.shape, np.int32)
    ndimage.label(found, np.ones((3, 3)), output=parts)  # pixels of one height are one blob
    return int(parts.max())


def _blobs(image: Array, diameter_mm: float, pixel_mm: float) -> Array:
    """Mean over the disc around each pixel less the mean of the ring that reaches to twice its diameter."""
    disc, wide = (discs(image, scale * diameter_mm, pixel_mm) for scale in (1, 2))
    return (disc - wide) * 4 / 3  # three quarters of the wide disc are ring
