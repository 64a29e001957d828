"""The classical reconstruction that a posterior method starts from and takes its intensity scale from: a short
FISTA-TV, for any operator and noise. Its details do not matter, noise of the starting level covers them."""

from __future__ import annotations

from torch import Tensor

from ..problem import Problem
from .tv import fista_tv


def classical(problem: Problem, iterations: int = 30) -> Tensor:
    """(B, H, W) in physical units: 1/mm, or the units of k-space (complex)."""
    weights = None if problem.noise is None else problem.noise.weights(problem.y).expand(problem.y.shape)
    return fista_tv(problem.y, problem.operator, 1e-3, iterations, weights, inner=5)
