"""Intervals of a reconstruction that hold the truth as often as they say: what is measured of a slice, what is shown.

    nested sets   m ± lambda max(s, floor), m the mean that is shown, s the samples' standard deviation: of pixels, and
                  of means over discs of 5 mm around them, whose s is that of the samples' means. A truth y is inside
                  from lambda = |y - m| / max(s, floor) on. A patient's loss at lambda is the part of his pixels inside
                  the body, told from m, where that ratio is larger; conformal.py finds lambda for a promise.
    bounds        SSIM(m, y) >= q_alpha - shift, q_alpha the alpha-quantile over the samples x of SSIM(m, x), for which
                  the truth is unknown; shift the conformal quantile of q_alpha - SSIM(m, y) of the patients (Wen et al.
                  2025, arXiv 2505.09528, eq. 9 to 12). PSNR alike.

What is kept of a slice is `QUANTILES` of its ratios, each the largest of as many neighbours: a loss that is taken from
them is never less than the loss (`kept_ratios`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration import discs
from .metrics import ct_slices, mri_slices
from .places import WHOLE
from .regions import ct_regions, mr_regions

Array = NDArray[Any]
KINDS: dict[str, float | None] = {
    "pixels": None,
    "5 mm": 5.0,
}  # nested sets of: a pixel, a mean over a disc [mm]
BOUNDS = ("ssim", "psnr")
FLOOR_HU, FLOOR = 1.0, 1e-3  # least spread, in HU or in parts of the largest magnitude of the mean
QUANTILES = 2000


def centre_and_spread(
    mean: Array, samples: Array, units: str, pixel_mm: float
) -> dict[str, tuple[Array, Array]]:
    """m and max(s, floor) of each of `KINDS`, (H, W) each.

    Args:
        mean: (H, W), as it is shown.
        samples: (S, H, W), S >= 2, in the units of the mean.
        units: "HU", or anything else for magnitudes.
    """
    if len(samples) < 2:
        raise ValueError(f"got {len(samples)} sample, expected at least 2: one has no spread")
    floor = FLOOR_HU if units == "HU" else FLOOR * float(mean.max())
    out = {}
    for kind in KINDS:
        m, x = (_means(a, kind, pixel_mm) for a in (mean, samples))
        out[kind] = m, np.maximum(x.std(0, ddof=1), max(floor, 1e-30))
    return out


def inside(mean: Array, units: str) -> NDArray[np.bool_]:
    """The body or head (H, W), as the mean shows it; the whole image where there is none."""
    found = (ct_regions if units == "HU" else mr_regions)(mean)[WHOLE]
    return found if found.any() else np.ones(mean.shape, bool)


def ratios(mean: Array, samples: Array, truth: Array, units: str, pixel_mm: float) -> dict[str, Array]:
    """From which lambda on m ± lambda max(s, floor) holds the truth (H, W), of all that is inside: `kept_ratios` of
    each of `KINDS`. Other arguments as `centre_and_spread`."""
    where = inside(mean, units)
    out = {}
    for kind, (m, s) in centre_and_spread(mean, samples, units, pixel_mm).items():
        out[kind] = kept_ratios((np.abs(_means(truth, kind, pixel_mm) - m) / s)[where])
    return out


def _means(images: Array, kind: str, pixel_mm: float) -> Array:
    """Images (..., H, W) as a kind of nested sets sees them."""
    mm = KINDS[kind]
    return np.asarray(images, np.float64) if mm is None else discs(images, mm, pixel_mm)


def kept_ratios(values: Array, count: int = QUANTILES) -> Array:
    """(count,) float32, ascending: of each of `count` equal parts of the sorted values the largest, so that at least as
    large a part of the kept ones as of all exceeds any number."""
    values = np.sort(values.ravel())
    last = np.ceil(np.arange(1, count + 1) * len(values) / count - 1e-9).astype(int) - 1
    kept = values[np.maximum(last, 0)]
    return np.nextafter(kept.astype(np.float32), np.float32(np.inf))


def similarities(image: Array, others: Array, units: str) -> dict[str, Array]:
    """PSNR [dB] and SSIM of an image (H, W) to each of others (N, H, W), as if that were the truth: (N,) each, in the
    conventions of the benchmarks (CT clipped to WINDOW_HU; MR by the other's largest magnitude)."""
    of = ct_slices if units == "HU" else mri_slices
    found = [of(image, other) for other in others]
    return {key: np.array([float(one[key][0]) for one in found]) for key in BOUNDS}


# --- of a new scan
@dataclass(frozen=True, eq=False)
class Intervals:
    """What is shown of a reconstruction.

    Attributes:
        level: percent.
        maps: kind -> lower and upper ends, (slices, H, W) float32 each.
        bounds: bound -> of each slice, (slices,).
        held: kind -> of each slice the part inside that held the truth, (slices,); {} where it is not known.
    """

    level: int
    maps: dict[str, tuple[Array, Array]]
    bounds: dict[str, Array]
    held: dict[str, Array]


def intervals(
    promised: dict[str, dict[str, dict[str, Any]]],
    level: int,
    mean: Array,
    samples: Array,
    truth: Array | None,
    units: str,
    pixel_mm: float,
) -> Intervals:
    """The intervals of a reconstruction in units as `centre_and_spread`.

    Args:
        promised: kind -> level -> "factor" or "shift" (promises.py); what has neither is left out.
        level: percent.
        mean: (slices, H, W).
        samples: (S, slices, H, W).
        truth: (slices, H, W), where it is known.
    """
    factors, shifts = (
        {k: v[str(level)].get(key) for k, v in promised.items()} for key in ("factor", "shift")
    )
    maps: dict[str, list[tuple[Array, Array]]] = {}
    bounds: dict[str, list[float]] = {}
    held: dict[str, list[float]] = {}
    for z, centre in enumerate(mean):
        where = inside(centre, units)
        for kind, (m, s) in centre_and_spread(centre, samples[:, z], units, pixel_mm).items():
            if (factor := factors[kind]) is None:
                continue
            low, high = m - factor * s, m + factor * s
            low = low if units == "HU" else np.maximum(low, 0)  # no magnitude is less
            maps.setdefault(kind, []).append((low, high))
            if truth is not None:
                y = _means(truth[z], kind, pixel_mm)
                held.setdefault(kind, []).append(float(((low <= y) & (y <= high))[where].mean()))
        for bound, values in similarities(centre, samples[:, z], units).items():
            if (shift := shifts[bound]) is not None:
                bounds.setdefault(bound, []).append(float(np.quantile(values, 1 - level / 100)) - shift)
    ends = {
        kind: tuple(np.stack(end).astype(np.float32) for end in zip(*found, strict=True))
        for kind, found in maps.items()
    }
    lists = ({key: np.array(values) for key, values in one.items()} for one in (bounds, held))
    return Intervals(level, ends, *lists)  # type: ignore[arg-type]
