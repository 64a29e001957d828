"""CG-SENSE (Pruessmann et al., MRM 2001): Tikhonov-regularised least squares by conjugate gradients,

min_x ||A x - y||^2 + lambda ||A||^2 ||x||^2,        (A^H A + lambda ||A||^2) x = A^H y.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...operators.solve import conjugate_gradients
from ..problem import Problem


@torch.no_grad()
def cg_sense(problem: Problem, iterations: int = 30, regularisation: float = 1e-3) -> Tensor:
    """Every item of the batch by itself.

    Args:
        problem: of a complex operator (Cartesian or not).
        iterations: of conjugate gradients; stopping early regularises, too.
        regularisation: lambda, relative to the squared norm of A; near the inverse of the squared SNR.

    Returns:
        (B, H, W) complex, in the units of k-space.

    Raises:
        ValueError: for a negative regularisation or no iterations.
    """
    if regularisation < 0 or iterations < 1:
        raise ValueError(
            f"cg_sense: got regularisation={regularisation}, iterations={iterations}; "
            "expected at least 0 and 1"
        )
    A, y = problem.operator, problem.y
    norms = [A.items(slice(b, b + 1)).norm() for b in range(len(y))]
    ridge = regularisation * torch.tensor(norms, device=y.device).square().view(-1, 1, 1)
    return conjugate_gradients(lambda x: A.normal(x) + ridge * x, A.adjoint(y), iterations=iterations)
