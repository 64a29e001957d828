"""How good drawn images are as a set, by the features of a network that both sets are shown to.

    FID = |m_1 - m_2|² + tr(S_1 + S_2 - 2 (S_1 S_2)^½)       Heusel et al. 2017: features taken as Gaussian
    IS  = exp E_x KL(p(c | x) || E_x p(c | x))                Salimans et al. 2016: mean over 10 splits

Features and log-probabilities come in batches, and what is kept does not grow with their number: sums of features and
of their products (float64), and of p log p and p in each split. Figures are comparable for one network and one number
of images only: the FID of two sets of n images of one law is about tr(S) (d + 5) / 2 n for d features of equal
variance, not zero, and below n = d it means little; the papers take the 2,048 features of Inception (2015) and 50,000
images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Moments:
    """Mean and covariance of features that come in batches."""

    def __init__(self) -> None:
        self.count, self._sum, self._products = 0, np.zeros(0), np.zeros((0, 0))
        self._origin = np.zeros(0)

    def add(self, features: Array) -> None:
        """(n, d), n of 1 or more; raises ValueError for another d than before, or what is not finite."""
        x = np.asarray(features, np.float64)
        if x.ndim != 2 or not len(x) or (self.count and x.shape[1] != len(self._sum)):
            raise ValueError(
                f"got features of shape {x.shape}, expected (images, {len(self._sum) if self.count else 'features'})"
            )
        if not np.isfinite(x).all():
            raise ValueError("got features that are not finite; is this the right network for these images?")
        if not self.count:
            self._origin = x.mean(0)  # products about a value near the mean keep their digits
            self._sum, self._products = np.zeros(x.shape[1]), np.zeros((x.shape[1],) * 2)
        x = x - self._origin
        self.count += len(x)
        self._sum += x.sum(0)
        self._products += x.T @ x

    @property
    def mean(self) -> Array:
        """(d,)."""
        return self._origin + self._sum / self.count

    @property
    def covariance(self) -> Array:
        """(d, d), over n - 1. Raises ValueError for fewer than two images."""
        if self.count < 2:
            raise ValueError(f"got {self.count} images, expected two or more for a covariance")
        m = self._sum / self.count
        return (self._products - self.count * np.outer(m, m)) / (self.count - 1)


def frechet_distance(a: Moments, b: Moments) -> float:
    """The FID of two sets. Raises ValueError for features of different networks."""
    if len(a.mean) != len(b.mean):
        raise ValueError(f"got {len(a.mean)} and {len(b.mean)} features, expected those of one network")
    S_1, S_2 = a.covariance, b.covariance
    values, basis = np.linalg.eigh(S_1)
    root = (basis * np.sqrt(values.clip(0))) @ basis.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ S_2 @ root).clip(0)).sum()  # eigenvalues of S_1 S_2
    return float(((a.mean - b.mean) ** 2).sum() + np.trace(S_1) + np.trace(S_2) - 2 * overlap)


class InceptionScore:
    """The IS of `count` images whose log-probabilities come in batches.

    Args:
        count: of all images, so that each has its split from the start.
        splits: images are dealt to them at random, by `seed`, as torch-fidelity does.

    Raises:
        ValueError: fewer images than splits.
    """

    def __init__(self, count: int, splits: int = 10, seed: int = 2020) -> None:
        if not 1 <= splits <= count:
            raise ValueError(f"got {count} images for {splits} splits, expected one or more in each")
        order = np.random.RandomState(seed).permutation(count)
        self._split = np.empty(count, int)
        self._split[order] = np.repeat(
            np.arange(splits), np.diff([k * count // splits for k in range(splits + 1)])
        )
        self._seen, self._sizes = 0, np.bincount(self._split, minlength=splits)
        self._negentropy = np.zeros(splits)  # sums of p log p
        self._p: Array = np.zeros((splits, 0))

    def add(self, log_p: Array) -> None:
        """(n, K). Raises ValueError for more images than were announced."""
        log_p = np.asarray(log_p, np.float64)
        if self._seen + len(log_p) > len(self._split):
            raise ValueError(f"got more than the {len(self._split)} images announced")
        if not self._seen:
            self._p = np.zeros((len(self._sizes), log_p.shape[1]))
        where = self._split[self._seen : self._seen + len(log_p)]
        p = np.exp(log_p)
        np.add.at(self._p, where, p)
        np.add.at(self._negentropy, where, (p * np.where(p > 0, log_p, 0)).sum(1))
        self._seen += len(log_p)

    def score(self) -> tuple[float, float]:
        """Mean and standard deviation over the splits. Raises ValueError before all images have come."""
        if self._seen != len(self._split):
            raise ValueError(f"got {self._seen} of {len(self._split)} images announced")
        q = self._p / self._sizes[:, None]
        cross = (q * np.log(np.where(q > 0, q, 1))).sum(1)
        scores = np.exp(self._negentropy / self._sizes - cross)
        return float(scores.mean()), float(scores.std())
