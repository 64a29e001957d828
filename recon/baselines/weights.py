"""What the least-squares baselines know of the noise: the weights W of the data term and where to stop.

    min_x ½ || W^½ (A x - y) ||²,      W = 1 / (noise variance + (epsilon rms y)²)

epsilon = `MODEL_ERROR` is a model error relative to y: no scan follows its discretised operator better, and noise-free
data would otherwise be fitted beyond it. The truth then has || W^½ (A x - y) ||² = m, the number of measurements, which
is where an iteration should stop that would next fit the noise (discrepancy principle; Morozov 1966). Rays that were
lost count neither for m nor for the rms of y.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...operators.linear import LinearOperator
from ...operators.solve import item_sum
from ..problem import Problem

MODEL_ERROR = 2e-3
# The power method comes from below: 8 iterations are within 1 % of ||A|| for CT and SENSE operators.
_POWER_ITERATIONS = 8


def measured_rays(problem: Problem) -> Tensor | None:
    """(views, detectors) bool, True where a ray was measured; None where all were, and for MRI."""
    return getattr(problem.operator, "valid", None)


def measurements(problem: Problem) -> int:
    """m of the module's docstring: measured values of one item."""
    valid = measured_rays(problem)
    return problem.y[0].numel() if valid is None else int(valid.sum())


def inverse_variance(problem: Problem) -> Tensor:
    """W of the module's docstring, with the shape of y."""
    y = problem.y
    power = item_sum(y.abs().square()) / measurements(problem)
    variance = MODEL_ERROR**2 * power
    if problem.noise is not None:
        variance = variance + 1 / problem.noise.weights(y)
    return (1 / variance.clamp_min(1e-30)).expand(y.shape)


def weighted(y: Tensor, operator: LinearOperator, weights: Tensor | None) -> tuple[Tensor, LinearOperator]:
    """W^½ y and W^½ A. Raises ValueError for negative weights.

    Args:
        weights: W (1 / variance), broadcastable to y (B, *range); None: all alike.
    """
    if weights is None:
        return y, operator
    if bool((weights < 0).any()):
        raise ValueError("got negative statistical weights, expected 1 / variance of each measurement")
    return weights.sqrt() * y, weights.sqrt() * operator


def squared_norms(operator: LinearOperator, batch: int, device: torch.device) -> Tensor:
    """||A||² of each item, (B, 1, 1)."""
    shared = operator.items(slice(0, 1)) is operator  # one operator for all items
    items = [operator] if shared else [operator.items(slice(b, b + 1)) for b in range(batch)]
    norms = torch.tensor([item.norm(_POWER_ITERATIONS) for item in items], device=device)
    return norms.square().expand(batch).view(-1, 1, 1)


def over(value: Tensor, like: Tensor) -> Tensor:
    """One number an item, (B, 1, ..., 1), as a tensor that broadcasts over `like` (B, ...)."""
    return value.reshape(-1, *[1] * (like.ndim - 1))
