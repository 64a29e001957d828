"""What a problem's numbers are worth: which of them measure anything, and the inverse variance W of each.

    W = 1 / (noise variance + (epsilon rms y)²)

epsilon = `MODEL_ERROR` is a model error relative to y: no scan follows its discretised operator better, and noise-free
data would otherwise be fitted beyond it (docs/lab/2026-11-27-model-error.md). A number is measured where its row of A
is not zero. Lost rays, rays beside the image and k-space between the samples are not: they count neither for the rms of
y nor for the number m at which the truth has

    || W^½ (A x - y) ||² = m,

which is where an iteration should stop that would next fit the noise (discrepancy principle; Morozov 1966).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..geometry import Geometry
from ..operators.coverage import coverage
from ..operators.linear import LinearOperator
from ..operators.solve import item_sum
from ..priors.sampling.loop import ItemNoise
from .problem import Problem

MODEL_ERROR = 4e-4
# The power method comes from below: 8 iterations are within 1 % of ||A|| for CT and SENSE operators.
_POWER_ITERATIONS = 8


def measured(problem: Problem) -> Tensor:
    """Where a number says something about the image: bool, of the shape of y."""
    operator, y = problem.operator, problem.y
    dtype = torch.complex64 if operator.domain_complex else torch.float32
    image = torch.empty(len(y), *operator.domain, dtype=dtype, device=y.device)
    return operator(ItemNoise([0] * len(y)).like(image)) != 0


def undersampling(problem: Problem) -> Tensor:
    """Pixels of the image to a measured number, item by item: (B,)."""
    pixels = torch.Size(problem.operator.domain).numel()
    return pixels / measured(problem).flatten(1).sum(1).clamp_min(1)


def seen_arc(problem: Problem) -> float:
    """The views' part of the half circle of directions, up to 1; 1 for other operators than CT's."""
    geometry = getattr(problem.operator, "geometry", None)
    return coverage(geometry.angles, math.pi).covered / math.pi if isinstance(geometry, Geometry) else 1.0


def inverse_variance(problem: Problem, model_error: float = MODEL_ERROR) -> Tensor:
    """W of the module's docstring, broadcastable to y; of complex numbers E |n|² is their variance."""
    y, known = problem.y, measured(problem)
    power = item_sum((y * known).abs().square()) / item_sum(known.float()).clamp_min(1)
    variance = model_error**2 * power
    if problem.noise is not None:
        variance = variance + 1 / problem.noise.weights(y)
    return 1 / variance.clamp_min(1e-30)


def measured_rays(problem: Problem) -> Tensor | None:
    """(views, detectors) bool, False where a ray was lost; None where none was, and for MRI."""
    return getattr(problem.operator, "valid", None)


def until_discrepancy(problem: Problem) -> tuple[Tensor, Tensor, int]:
    """y where it measures something and zero elsewhere, W, and m, the misfit at which to stop (one item's)."""
    known = measured(problem)
    return known * problem.y, inverse_variance(problem), int(known[0].sum())


def noise_weights(problem: Problem) -> Tensor | None:
    """1 / variance of the noise alone, of the shape of y; None for noise-free data."""
    return None if problem.noise is None else problem.noise.weights(problem.y).expand(problem.y.shape)


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
