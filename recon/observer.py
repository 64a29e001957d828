"""Can it be seen at all? Observers of a known lesion: the ideal one in the measurement, a channelised one in pictures.

**Ideal.** Signal and background known, Gaussian noise of inverse variance W: the likelihood ratio is the matched filter
s^T A^T W (y - A b), and its detectability, the distance of its two means in standard deviations,

    d'² = s^T A^T W A s          (twice that for complex y: half of E|n|² lies along the signal)

(Barrett & Myers, Foundations of Image Science, eq. 13.107 and 13.113). No observer does better on any reconstruction of
y, and no prior is in it: below d' of about 2 the data cannot tell. Area under its ROC: Phi(d' / √2).

**Channelised Hotelling** (Myers & Barrett 1987; Gallas & Barrett 2003): a picture is seen through a few rotationally
symmetric Laguerre-Gauss channels, and the best linear template for them is trained on other patients than it is tested
on. It follows human readers in pictures; trained on few it is worse than what can be seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special, stats
from torch import Tensor

from .problem import Problem

Array = NDArray[Any]
LEAST = 6  # pictures of either kind, below which no template is trained


@torch.no_grad()
def ideal_detectability(problem: Problem, signals: Tensor) -> Tensor:
    """d' of known signals (N, H, W) on a known background, in physical units: (N,); infinite without noise.

    Args:
        problem: of one slice (B = 1).

    Raises:
        ValueError: a problem of several slices.
    """
    _check_one(problem)
    if problem.noise is None:
        return torch.full((len(signals),), math.inf)
    weights = problem.noise.weights(problem.y)
    return torch.stack([_product(weights, y, y).sqrt() for y in _seen(problem, signals)]).cpu()


@torch.no_grad()
def unexplained(problem: Problem, image: Tensor, signals: Tensor) -> Tensor:
    """What of known signals (N, H, W) a reconstruction leaves in the data: the matched filter of y - A image, in
    standard deviations of the noise: (N,); nan without noise.

    Of an image that lacks a signal and is otherwise true it is d'. Where it is near 0 and the signal is not in the
    image, something else in the image stands for it: the data do not decide, however large d' is.

    Args:
        problem: of one slice (B = 1).
        image: (1, H, W), physical.

    Raises:
        ValueError: a problem of several slices.
    """
    _check_one(problem)
    if problem.noise is None:
        return torch.full((len(signals),), math.nan)
    weights = problem.noise.weights(problem.y)
    rest = problem.y - problem.operator(image.to(problem.y.device))
    found = [_product(weights, y, rest) / _product(weights, y, y).sqrt() for y in _seen(problem, signals)]
    return torch.stack(found).cpu()


def _check_one(problem: Problem) -> None:
    if len(problem.y) != 1:
        raise ValueError(f"got a problem of {len(problem.y)} slices, expected one; take items of it")


def _seen(problem: Problem, signals: Tensor) -> Iterator[Tensor]:
    """A s of each signal."""
    return (problem.operator(one[None].to(problem.y.device)) for one in signals)


def _product(weights: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a^T W b: of complex noise W is that of one component."""
    half = 2 if a.is_complex() else 1
    return half * (weights * (a.conj() * b).real).double().sum()


def ideal_auc(detectability: float) -> float:
    """Area under the ROC of Gaussian decisions with this d'."""
    return float(stats.norm.cdf(detectability / math.sqrt(2)))


def laguerre_gauss(side: int, width: float, count: int = 5) -> Array:
    """Laguerre-Gauss channels about the middle of a square (Gallas & Barrett 2003, eq. 14), each of norm 1:
    (count, side, side).

    Args:
        width: of the Gaussian exp(-pi r² / width²), in pixels; about the lesion's diameter.
    """
    y, x = (np.mgrid[:side, :side] - (side - 1) / 2) / width
    g = 2 * math.pi * (x**2 + y**2)
    channels = np.stack([np.exp(-g / 2) * special.eval_laguerre(n, g) for n in range(count)])
    return channels / np.sqrt((channels**2).sum((1, 2), keepdims=True))


class Seen(NamedTuple):
    """What an observer tells apart: the area under its ROC, with a 95 % bootstrap interval over groups."""

    auc: float
    low: float
    high: float


def channelised_hotelling(
    present: Array,
    absent: Array,
    channels: Array,
    groups: Sequence[Any],
    resamples: int = 2000,
    seed: int = 0,
) -> Seen | None:
    """The channelised Hotelling observer on pictures with and without a lesion, (N, side, side) each, those of one
    group (a patient) scored by a template of all others; None for fewer than LEAST pictures or two groups.

    Raises:
        ValueError: other shapes.
    """
    side = channels.shape[-1]
    if present.shape != absent.shape or present.shape != (len(groups), side, side):
        raise ValueError(
            f"got pictures of shape {present.shape} and {absent.shape} of {len(groups)} groups, expected "
            f"({len(groups)}, {side}, {side}) twice"
        )
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if len(group) < LEAST or len(names) < 2:
        return None
    views = [np.tensordot(pictures, channels, ((1, 2), (1, 2))) for pictures in (present, absent)]
    scores = [np.zeros(len(group)) for _ in views]
    for number in range(len(names)):
        own = group == number
        template, middle = _template(views[0][~own], views[1][~own])
        for score, view in zip(scores, views, strict=True):
            score[own] = (view[own] - middle) @ template
    return _rated(scores[0], scores[1], group, resamples, seed)


def _template(present: Array, absent: Array) -> tuple[Array, Array]:
    """The Hotelling template S^-1 (mean difference), its scores of unit variance, and the middle of the means."""
    means = present.mean(0), absent.mean(0)
    rest = np.concatenate([present - means[0], absent - means[1]])
    S = rest.T @ rest / max(1, len(rest) - 2)
    S += 1e-3 * np.trace(S) / len(S) * np.eye(len(S))  # fewer pictures than channels leave it singular
    difference = means[0] - means[1]
    template = np.linalg.solve(S, difference)
    return template / math.sqrt(max(float(template @ S @ template), 1e-30)), (means[0] + means[1]) / 2


def _rated(present: Array, absent: Array, group: NDArray[np.int_], resamples: int, seed: int) -> Seen:
    """AUC of scores (Mann-Whitney, a tie is half a win), groups resampled whole."""
    wins = (present[:, None] > absent[None]) + 0.5 * (present[:, None] == absent[None])
    members = np.eye(group.max() + 1)[group]  # (N, groups)
    between, sizes = members.T @ wins @ members, members.sum(0)
    times = np.random.default_rng(seed).multinomial(
        len(sizes), np.full(len(sizes), 1 / len(sizes)), resamples
    )
    drawn = np.einsum("rg,gh,rh->r", times, between, times) / (times @ sizes) ** 2
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Seen(float(wins.mean()), float(low), float(high))
