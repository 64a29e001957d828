"""What calibration patients let one promise of the next: measured slices -> numbers, as records keep them (records.py).

    {"pixels": {"90": {"factor": 1.4, "left_out": [...]}, ...}, "5 mm": ..., "ssim": {"90": {"shift": .01}, ...},
     "psnr": ..., "certain": {"90": {"needed": 22}, ...}}

by kind (intervals.py) and level in percent. `factor`: lambda of conformal risk control, `left_out`: how much of each
patient is inside with the lambda of the others, sorted; `shift` of split conformal; `certain`: lambda of RCPS for
pixels, which holds in 1 - DELTA of all choices of the patients. Where there are too few patients for a promise it is
{"needed": how many it takes}.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration import LEVELS
from .conformal import Losses, TooFewPatientsError, risk_control, risk_controlling_set, split_conformal
from .intervals import BOUNDS, KINDS

DELTA = 0.1
Promises = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class MeasuredSlice:
    """What calibration keeps of a slice.

    Attributes:
        patient: a number.
        ratios: kind -> ascending (intervals.kept_ratios).
        similarities: bound -> {"truth": [one], "samples": [S]} of the mean.
    """

    patient: int
    ratios: dict[str, NDArray[Any]]
    similarities: dict[str, dict[str, list[float]]]


def promises(slices: Sequence[MeasuredSlice]) -> Promises:
    """Of all kinds and levels. A patient's loss is the mean over his slices; his bounds must hold in all of them."""
    out: Promises = {kind: {} for kind in (*KINDS, *BOUNDS, "certain")}
    losses = {kind: losses_of(slices, kind) for kind in KINDS}
    for level in LEVELS:
        alpha, name = 1 - level, percent(level)
        for kind, own in losses.items():
            out[kind][name] = _kept(lambda own=own, alpha=alpha: _nested(own, alpha))
        out["certain"][name] = _kept(lambda alpha=alpha: {"factor": _certain(losses["pixels"], alpha)})
        for bound in BOUNDS:
            scores = np.array(list(overstated(slices, bound, alpha).values()))
            out[bound][name] = _kept(lambda s=scores, alpha=alpha: {"shift": split_conformal(s, alpha)})
    return out


def percent(level: float) -> str:
    """.9 -> "90"."""
    return f"{100 * level:.0f}"


def losses_of(slices: Sequence[MeasuredSlice], kind: str) -> Losses:
    """Patient by patient."""
    patients: dict[int, list[NDArray[Any]]] = {}
    for one in slices:
        patients.setdefault(one.patient, []).append(one.ratios[kind])
    return Losses([np.sort(np.concatenate(parts)) for parts in patients.values()])


def overstated(slices: Sequence[MeasuredSlice], bound: str, alpha: float) -> dict[int, float]:
    """By how much the samples' alpha-quantile is above the truth's figure, in the worst of each patient's slices."""
    out: dict[int, float] = {}
    for one in slices:
        alike = one.similarities[bound]
        score = float(np.quantile(alike["samples"], alpha)) - alike["truth"][0]
        out[one.patient] = max(score, out.get(one.patient, -math.inf))
    return out


def _kept(promise: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return promise()
    except TooFewPatientsError as error:
        return {"needed": error.needed}


def _nested(losses: Losses, alpha: float) -> dict[str, Any]:
    """lambda, and what it holds of each patient when he is left out; nothing where the others are too few."""
    out: dict[str, Any] = {"factor": factor_of(losses, alpha)}
    try:
        others = [factor_of(losses.without(k), alpha) for k in range(len(losses))]
    except TooFewPatientsError:
        return out
    left_out = sorted(1 - float(losses(factor)[k]) for k, factor in enumerate(others))
    return out | {"left_out": [round(part, 4) for part in left_out]}


def factor_of(losses: Losses, alpha: float) -> float:
    """lambda of conformal risk control. Where the theorem lets no pixel of any patient be missed it is the worst
    pixel's, and no interval that anyone could use: that counts as too few patients, TooFewPatientsError."""
    n = len(losses)
    if (n + 1) * alpha <= 1 + 1e-9:
        raise TooFewPatientsError(n, f"a loss of at most {alpha:g}", math.floor(1 / alpha + 1e-9))
    return risk_control(losses, alpha)


def _certain(losses: Losses, alpha: float) -> float:
    """By the bound that is tighter for numbers of little variance where it can promise anything, else by the one that
    needs fewer patients: a choice by their number alone."""
    try:
        return risk_controlling_set(losses, alpha, DELTA, "wsr")
    except TooFewPatientsError:
        return risk_controlling_set(losses, alpha, DELTA, "hb")
