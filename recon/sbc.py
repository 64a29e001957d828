"""Simulation-based calibration: does a sampler draw from the posterior of its own prior?

The truth x_0 is drawn from the prior and measured as the method assumes. If the samples x_1 ... x_S are draws of
p(x | y) too, the S + 1 members x_0 ... x_S of an image are exchangeable, and the truth is at each place among them
equally often:

    SBC     the rank of a number of the truth among the same number of the samples (Talts et al. 2018, Algorithm 1)
    TARP    the rank of its distance to a random reference, of patches: on whole images a distance sees little (Lemos et
            al. 2023, Algorithm 2)

The numbers are means over patches, and their two parts: with the Gaussian N(., C) for a prior, N = (A^H A + 1/C)^-1 / C
is the part of an image that the data leave open, so that mean = <(1 - N) p, x> + <N p, x> for the mask p of a patch. A
sampler may be right where data decide and wrong where they do not.

Patches of one image go together, images do not: `uniformity` exchanges the truth with its samples, image by image, and
needs no law of the ranks. The network's own error is not seen here, for the truths have it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..priors.score import Prior
from .posterior.posed import Posed
from .problem import Problem
from .weights import inverse_variance, measured

Array = NDArray[Any]
MEANS, SEEN, OPEN, TARP = "patch means", "their measured part", "their open part", "patches (TARP)"
QUANTITIES = (MEANS, SEEN, OPEN)  # of SBC
A_SIDE = 4  # patches
PATCH = 16  # to a side of the image
SPREAD = 0.5  # standard deviation of an image in network units, as C^1/2
SOLVED = 5  # times the conjugate gradients of a level of DDS


def as_assumed(problem: Problem, truth: Tensor, noise: Tensor) -> Problem:
    """A problem whose measurement of `truth` (B, H, W) has the law that methods take it to have: A x, and noise of the
    variance 1 / W (weights.py), the model error in it. `noise`: standard normal, of the shape of y."""
    clean = problem.operator(truth)
    root = inverse_variance(replace(problem, y=clean)).rsqrt() * (0.5**0.5 if clean.is_complex() else 1.0)
    return replace(problem, y=clean + root * measured(problem) * noise)


class Patches:
    """What is asked of an image: a grid of A_SIDE² patches, and how the data of a problem of one slice see them.

    Args:
        prior: gives the unit in which an image's spread is SPREAD.
    """

    def __init__(self, problem: Problem, prior: Prior) -> None:
        H, W = problem.operator.domain
        h, w = (max(1, n // PATCH) for n in (H, W))
        corners = [((i + 1) * H // (A_SIDE + 1) - h // 2, (j + 1) * W // (A_SIDE + 1) - w // 2)
                   for i in range(A_SIDE) for j in range(A_SIDE)]  # fmt: skip
        self.places = [(slice(i, i + h), slice(j, j + w)) for i, j in corners]
        posed = Posed(problem, prior, problem.least_squares(), len(self.places))
        p = torch.zeros_like(posed.initial)
        for mask, (rows, columns) in zip(p, self.places, strict=True):
            mask[rows, columns] = 1 / (h * w)
        step = posed.data_step
        left = step(p, SPREAD**2, SOLVED * step.enough, y=torch.zeros_like(posed.y))
        self.weights = {MEANS: p, SEEN: p - left, OPEN: left}

    def members(self, truth: Tensor, samples: Tensor) -> dict[str, Array]:
        """Of the truth (H, W) and the samples (S, H, W), the truth first: each of QUANTITIES (S + 1, K), and the pixels
        of the patches, TARP (S + 1, patches, n). Complex images as their two parts."""
        x = torch.cat([truth[None].cpu(), samples.cpu()]).resolve_conj()
        out = {}
        for name, weights in self.weights.items():
            # <g, x> of images and weights (K, H, W), which are real where images are
            found = torch.einsum("khw,shw->sk", weights.cpu().conj().to(x.dtype), x)
            out[name] = _parts(found).flatten(1).numpy().astype(np.float64)
        pixels = torch.stack([_parts(x[:, rows, columns]).flatten(1) for rows, columns in self.places], 1)
        return out | {TARP: pixels.numpy().astype(np.float32)}


def _parts(x: Tensor) -> Tensor:
    """Real and imaginary parts as a last axis."""
    return torch.view_as_real(x) if x.is_complex() else x[..., None]


def sbc_ranks(members: Sequence[Array], seed: int = 0) -> list[NDArray[np.int_]]:
    """Of each image's members (S + 1, K) the ranks 0 ... S among themselves, equal ones in random order; the truth's is
    the first row."""
    rng = np.random.default_rng(seed)
    return [np.argsort(np.lexsort((rng.random(one.shape), one), axis=0), axis=0) for one in members]


def tarp_ranks(patches: Sequence[Array], seed: int = 0) -> list[NDArray[np.int_]]:
    """The same of the distances of patches (S + 1, K, n) to a reference: those of a random member of the next image,
    which cannot know who of this one is the truth."""
    rng = np.random.default_rng(seed)
    reference = [following[rng.integers(len(following))] for following in (*patches[1:], patches[0])]
    pairs = zip(patches, reference, strict=True)
    return sbc_ranks([np.linalg.norm(one - other, axis=-1) for one, other in pairs], seed)


def uniformity(ranks: Sequence[NDArray[np.int_]], resamples: int = 4999, seed: int = 0) -> float:
    """The p-value of the truths' ranks being uniform: how often the ranks' chi-squared, over all images, is as large
    with a random member of each image in the truth's place. `ranks`: (S + 1, K) of each image, the truth's first."""
    count, K = ranks[0].shape
    counts = np.array(
        [[np.bincount(row, minlength=count) for row in one] for one in ranks]
    )  # (N, S + 1, S + 1)
    expected = len(ranks) * K / count

    def chi_squared(found: Array) -> Array:
        return ((found - expected) ** 2).sum(-1) / expected

    picks = np.random.default_rng(seed).integers(count, size=(resamples, len(ranks)))
    drawn = chi_squared(counts[np.arange(len(ranks)), picks].sum(1))
    return float((1 + (drawn >= chi_squared(counts[:, 0].sum(0)) - 1e-9).sum()) / (1 + resamples))
