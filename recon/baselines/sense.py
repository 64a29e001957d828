"""CG-SENSE (Pruessmann et al., MRM 2001): Tikhonov-regularised least squares by conjugate gradients,

min_x ||A x - y||^2 + lambda ||A||^2 ||x||^2,        (A^H A + lambda ||A||^2) x = A^H y.

For white noise of variance s² and a white image of power P the best lambda ||A||^2 is s² / P. Images are not white:
where aliasing is hard to undo they hold less than P, and ten times as much is nearly the best for heads at x2, x4, x8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...modality import Modality
from ...operators.solve import conjugate_gradients, item_mean
from ..options import Space
from ..problem import Problem
from .method import Baseline

_RATIO, _LEAST = 10.0, 1e-5  # of lambda ||A||^2 to s² / P; the least lambda


@torch.no_grad()
def cg_sense(problem: Problem, iterations: int = 30, regularisation: float | None = None) -> Tensor:
    """Every item of the batch by itself.

    Args:
        problem: of a complex operator (Cartesian or not).
        iterations: of conjugate gradients; stopping early regularises, too.
        regularisation: lambda, relative to the squared norm of A; None: from the noise, 10 s² / P, with the power
            of the zero-filled image for P.

    Returns:
        (B, H, W) complex, in the units of k-space.

    Raises:
        ValueError: for a negative regularisation or no iterations.
    """
    if (regularisation is not None and regularisation < 0) or iterations < 1:
        raise ValueError(
            f"cg_sense: got regularisation={regularisation}, iterations={iterations}; "
            "expected at least 0 and 1"
        )
    A, y = problem.operator, problem.y
    norms = [A.items(slice(b, b + 1)).norm() for b in range(len(y))]
    square = torch.tensor(norms, device=y.device).square().view(-1, 1, 1)
    At_y = A.adjoint(y)
    if regularisation is not None:
        ridge = regularisation * square
    else:
        ridge = _LEAST * square
        if problem.noise is not None:
            variance = item_mean((1 / problem.noise.weights(y)).expand(y.shape)).view(-1, 1, 1)
            power = item_mean(At_y.abs().square()).clamp_min(1e-30)
            ridge = torch.maximum(ridge, _RATIO * variance / power)
    return conjugate_gradients(lambda x: A.normal(x) + ridge * x, At_y, iterations=iterations)


@dataclass(frozen=True)
class CGSense(Baseline):
    """Regularised least squares.

    Attributes:
        iterations: of conjugate gradients.
        regularisation: lambda relative to the squared norm of A; auto: from the noise.
    """

    name = "cg-sense"
    line = "MRI: regularised least squares"
    reference = "Pruessmann et al., 2001"
    space: ClassVar[Space] = {"regularisation": (1e-4, 1.0), "iterations": (3, 60)}
    title, scans = "CG-SENSE", (Modality.MR,)
    iterations: int = 30
    regularisation: float | None = None

    @property
    def automatic(self) -> dict[str, Any]:
        return {} if self.regularisation is not None else {"regularisation": "automatic, from the noise"}

    def image(self, problem: Problem) -> Tensor:
        return cg_sense(problem, self.iterations, self.regularisation)
