"""Is a posterior's spread right? Samples against the truth, as numbers that an exact posterior is known to give.

Samples x_1 ... x_S of an exact posterior and the truth y are draws of one distribution. Then, whatever S is,

    interval        m ± t s sqrt(1 + 1/S), t Student's quantile with S - 1 degrees of freedom, holds the truth as
                    often as it says (exactly where the posterior is Gaussian; few samples have no quantiles);
    spread / skill  (1 + 1/S) mean s² = mean (m - y)²: their ratio's root is 1, below where the spread is too small; for
                    infinitely many samples mean s² = mean (m - y)² - mean s² / S (Fortin et al. 2014, eq. 15);
    rank            the truth's place among the samples is uniform on 0 ... S (Talts et al. 2018, SBC);
    fair CRPS       mean |x_i - y| - sum_{i != j} |x_i - x_j| / (2 S (S - 1)), least for the right distribution, and
                    comparable between different S (Ferro 2014);
    energy score    the same with Euclidean norms of whole images (Gneiting & Raftery 2007, eq. 22).

m and s² are the samples' mean and unbiased variance. Errors of neighbouring pixels go together, and what a reader looks
at is a region: `discs` and `bands` turn images into ones whose pixels are means over a disc or frequencies of a band,
on which the same figures are taken. Patients are the unit: `average` pools within a patient first, `interval` resamples
patients, never pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

Array = NDArray[Any]
LEVELS = (0.5, 0.8, 0.9, 0.95)
POWERS = ("power", "power_of_mean", "power_of_truth")
BANDS = (0.0, 0.05, 0.1, 0.2, 0.35)  # cycles a pixel; the last band goes on to the corner


@dataclass(frozen=True)
class Calibration:
    """The figures of one slice, or of several pooled by `average`.

    Attributes:
        samples: S.
        coverage: nominal level -> part of the truths inside its interval.
        width: mean width of the 90 % interval, in the images' units.
        crps: mean fair CRPS, in the images' units.
        variance: mean s².
        error: mean (m - y)².
        ranks: (S + 1,), how often the truth has each rank; sums to 1.
        energy: fair energy score of the images, over the root of the number of their pixels.
        power, power_of_mean, power_of_truth: mean square of the samples, of their mean, of the truth; nan where nobody
            asked.
    """

    samples: int
    coverage: dict[float, float]
    width: float
    crps: float
    variance: float
    error: float
    ranks: Array
    energy: float
    power: float = math.nan
    power_of_mean: float = math.nan
    power_of_truth: float = math.nan

    @property
    def grain(self) -> float:
        """Root of the samples' power over the truth's; 1 is right, below 1 the samples are too smooth."""
        return _root_ratio(self.power, self.power_of_truth)

    @property
    def grain_of_mean(self) -> float:
        """The same of the mean of infinitely many samples, which should be below 1: what the data leave open is not in
        a mean."""
        return _root_ratio(
            np.maximum(self.power_of_mean - self.variance / self.samples, 0), self.power_of_truth
        )

    @property
    def spread_skill(self) -> float:
        """Spread over skill with S samples; 1 is right, below 1 the spread is too small; nan without an error."""
        return _root_ratio((1 + 1 / self.samples) * self.variance, self.error)

    @property
    def limit_error(self) -> float:
        """Mean squared error of the mean of infinitely many samples; nan where s² / S is more than the whole error."""
        rest: Any = np.asarray(self.error - self.variance / self.samples)
        rest = np.where(rest > 0, rest, np.nan)  # numbers of many resamples too (`interval`)
        return rest[()]

    @property
    def limit_spread_skill(self) -> float:
        """Spread over skill with infinitely many samples; nan as `limit_error`."""
        return _root_ratio(self.variance, self.limit_error)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; powers that nobody asked for are left out."""
        powers = {name for name in POWERS if math.isnan(getattr(self, name))}
        return {
            **{key: value for key, value in asdict(self).items() if key not in powers},
            "coverage": {f"{level:g}": float(part) for level, part in self.coverage.items()},
            "ranks": [float(part) for part in self.ranks],
        }

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Calibration:
        """What `to_dict` made."""
        coverage = {float(level): part for level, part in facts["coverage"].items()}
        return cls(**{**facts, "coverage": coverage, "ranks": np.array(facts["ranks"])})


def _root_ratio(a: Any, b: Any) -> Any:
    """(a / b)^1/2 of numbers or arrays; nan where b is 0."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.sqrt(np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b != 0))[()]


def calibration(
    samples: Array, truth: Array, where: NDArray[np.bool_] | None = None, power: bool = False
) -> Calibration:
    """The figures of real samples (S, ...) against the truth (...), in any one unit.

    Args:
        where: (...), the elements that count; None: all.
        power: take the powers too: of images of one band of frequencies.

    Raises:
        ValueError: fewer than 2 samples, complex numbers, other shapes, or no element that counts.
    """
    samples, truth = np.asarray(samples), np.asarray(truth)
    if np.iscomplexobj(samples) or np.iscomplexobj(truth):
        raise ValueError(
            "got complex samples or truth, expected real ones; take magnitudes, or the two parts"
        )
    if len(samples) < 2 or samples.shape[1:] != truth.shape:
        raise ValueError(
            f"got samples of shape {samples.shape} for a truth of {truth.shape}, expected (S, *truth) with S >= 2"
        )
    chosen = np.ones(truth.shape, bool) if where is None else np.asarray(where, bool)
    if not chosen.any():
        raise ValueError("no element counts; expected True somewhere in `where`")
    x, y = samples[:, chosen].astype(np.float64), truth[chosen].astype(np.float64)  # (S, N), (N,)
    count = len(x)
    mean, spread = x.mean(0), x.std(0, ddof=1)
    half = {level: student(level, count) * spread for level in LEVELS}
    powers = dict(zip(POWERS, (x, mean, y), strict=True)) if power else {}
    return Calibration(
        samples=count,
        coverage={level: float((np.abs(y - mean) <= h).mean()) for level, h in half.items()},
        width=float(2 * half[0.9].mean()),
        crps=float(_fair_crps(x, y).mean()),
        variance=float((spread**2).mean()),
        error=float(((mean - y) ** 2).mean()),
        ranks=np.bincount((x < y).sum(0), minlength=count + 1) / len(y),
        energy=_fair_energy(x, y) / math.sqrt(len(y)),
        **{name: float((values**2).mean()) for name, values in powers.items()},
    )


def student(level: float, count: int) -> float:
    """Half the width of a prediction interval from `count` samples, in their standard deviations."""
    return float(stats.t.ppf((1 + level) / 2, count - 1)) * math.sqrt(1 + 1 / count)


def _fair_crps(x: Array, y: Array) -> Array:
    """(S, N), (N,) -> (N,). In ascending order sum_{i < j} |x_i - x_j| = sum_k (2 k - S - 1) x_(k)."""
    count = len(x)
    weights = 2 * np.arange(1, count + 1) - count - 1
    pairs = np.tensordot(weights, np.sort(x, 0), 1)
    return np.abs(x - y).mean(0) - pairs / (count * (count - 1))


def _fair_energy(x: Array, y: Array) -> float:
    count = len(x)
    pairs = sum(float(np.linalg.norm(x[i] - x[j])) for i in range(count) for j in range(i))
    return float(np.linalg.norm(x - y, axis=1).mean()) - pairs / (count * (count - 1))


# --- many slices, many patients
def average(found: Sequence[Calibration]) -> Calibration:
    """The mean of figures of as many samples each: of a patient's slices, or of patients. Raises ValueError for none,
    or where the numbers of samples differ."""
    counts = sorted({one.samples for one in found})
    if len(counts) != 1:
        raise ValueError(f"got figures of {counts} samples, expected one number, and at least one figure")

    return _each(found, lambda value: np.mean([value(one) for one in found], axis=0))


def _each(found: Sequence[Calibration], of: Callable[[Callable[[Calibration], Any]], Any]) -> Calibration:
    """`of` of each figure by itself."""
    return Calibration(
        samples=found[0].samples,
        coverage={level: of(lambda one, k=level: one.coverage[k]) for level in found[0].coverage},
        width=of(lambda one: one.width),
        crps=of(lambda one: one.crps),
        variance=of(lambda one: one.variance),
        error=of(lambda one: one.error),
        ranks=of(lambda one: one.ranks),
        energy=of(lambda one: one.energy),
        **{name: of(lambda one, name=name: getattr(one, name)) for name in POWERS},
    )


def interval(
    patients: Sequence[Calibration],
    figure: Callable[[Calibration], float],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """A bootstrap interval of a figure of `average(patients)`, each pooled before, over the resamples of which it is a
    number; (nan, nan) for one patient, and where it is never one."""
    if len(patients) < 2:
        return math.nan, math.nan
    picks = np.random.default_rng(seed).integers(len(patients), size=(resamples, len(patients)))

    def drawn(value: Callable[[Calibration], Any]) -> Any:
        return np.array([value(one) for one in patients])[picks].mean(1)

    values = np.asarray(figure(_each(patients, drawn)))  # of all resamples at once
    values = values[np.isfinite(values)]
    if not values.size:
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


# --- what a reader looks at: regions, not pixels
def discs(images: Array, diameter_mm: float, pixel_mm: float) -> Array:
    """Means over a disc around each pixel, (..., H, W); a disc of less than a pixel is that pixel."""
    radius = diameter_mm / pixel_mm / 2
    reach = int(radius)
    i, j = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disc = (i * i + j * j <= radius * radius).astype(np.float64)
    kernel = (disc / disc.sum())[(None,) * (np.ndim(images) - 2)]
    return ndimage.convolve(np.asarray(images, np.float64), kernel, mode="nearest")


def bands(images: Array) -> list[Array]:
    """Images (..., H, W) as the sum of one image a band of spatial frequency, from low to high (`BANDS`)."""
    images = np.asarray(images, np.float64)
    fy, fx = (np.fft.fftfreq(n) for n in images.shape[-2:])
    frequency = np.hypot(fy[:, None], fx[None, :])
    spectrum = np.fft.fft2(images)
    return [
        np.fft.ifft2(np.where((frequency >= low) & (frequency < high), spectrum, 0)).real
        for low, high in pairwise((*BANDS, np.inf))
    ]
