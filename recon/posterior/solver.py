"""The data step of DDS and its kin, begun at one noise level where it ended at the last:

    u = argmin_u ½ |A u - y|² + ½ |u - x|²_{1/v},

A and y whitened (posed.py), v the variance of all pixels or a map of each one's.

Two ways to solve it by a few conjugate gradients, both begun at the correction u - x of the last call, which is worth
more than as many steps again (docs/lab/2026-11-27-dds-settings.md):

    primal    (1 + v^½ A^H A v^½) d = v^½ A^H (y - A x),        u = x + v^½ d
    dual      (1 + A v A^H) q = y - A x,                        u = x + v A^H q

The dual works on vectors of the size of the measurement, where A A^H is nearly diagonal, so that it can be
preconditioned by 1 / (1 + mean(v) W |A A^H 1|): rays of very different noise or length then cost few steps more than
equal ones. It is used for CT; multi-coil k-space is larger than its image and its noise is even, there the primal is
cheaper. M steps of the dual take M projections and M backprojections: A^H q is carried along with q.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from ...operators.linear import LinearOperator
from ...operators.solve import conjugate_gradients, dual_conjugate_gradients, item_mean
from ...priors.sampling.loop import NoiseSource
from ...priors.score import per_item


class Whitened(Protocol):
    """What a solver needs to know of a problem (posed.py)."""

    y: Tensor
    AHy: Tensor
    physical_operator: LinearOperator

    def row_sums(self) -> Tensor: ...

    def A(self, x: Tensor) -> Tensor: ...

    def AH(self, r: Tensor) -> Tensor: ...

    def AHA(self, x: Tensor) -> Tensor: ...


class DataStep(Protocol):
    enough: int  # conjugate gradient steps from level to level

    def __call__(
        self, x: Tensor, variance: float | Tensor, iterations: int, y: Tensor | None = None
    ) -> Tensor:
        """u for x (B, H, W); begins where the last call ended. `y`: a whitened measurement instead of the problem's."""
        ...

    def forget(self) -> None:
        """The next call begins at x."""
        ...

    def preconditioner(self, variance: float | Tensor) -> Tensor | None:
        """The diagonal of an approximate inverse of 1 + A v A^H; None where that is no help."""
        ...


def data_solver(problem: Whitened) -> DataStep:
    """The cheaper way to solve the data step of a problem."""
    operator = problem.physical_operator
    small = math.prod(operator.range) <= 4 * math.prod(operator.domain)
    return Dual(problem) if small and not operator.domain_complex else Primal(problem)


def proximal(
    problem: Whitened,
    x: Tensor,
    variance: float | Tensor,
    iterations: int,
    start: Tensor | None = None,
    y: Tensor | None = None,
) -> Tensor:
    """argmin_u ½ |A u - y|² + ½ |(u - x) / sqrt(variance)|², by conjugate gradients in (u - x) / sqrt(variance).

    They begin at x + start. `y`: a whitened measurement instead of the problem's, as in the projection sampler.
    `variance`: of all pixels, or of each, of the shape of x.
    """
    root = variance**0.5
    measured = problem.AHy if y is None else problem.AH(y)
    begin = x if start is None else x + start
    residual = root * (measured - problem.AHA(begin))
    residual = residual if start is None else residual - start / root
    return begin + root * conjugate_gradients(
        lambda d: d + root * problem.AHA(root * d), residual, iterations=iterations
    )


class Primal:
    enough = 6

    def __init__(self, problem: Whitened) -> None:
        self.problem = problem
        self.forget()

    def forget(self) -> None:
        self.correction = torch.zeros_like(self.problem.AHy)

    def __call__(
        self, x: Tensor, variance: float | Tensor, iterations: int, y: Tensor | None = None
    ) -> Tensor:
        u = proximal(self.problem, x, variance, iterations, start=self.correction, y=y)
        self.correction = u - x
        return u

    def preconditioner(self, variance: float | Tensor) -> Tensor | None:
        return None


class Dual:
    enough = 3  # preconditioned

    def __init__(self, problem: Whitened) -> None:
        self.problem, self.rows = problem, problem.row_sums()
        self.level: Tensor = torch.ones_like(problem.y.flatten(1)[:, 0])  # mean(v) of the last call
        self.forget()

    def forget(self) -> None:
        self.q, self.g = torch.zeros_like(self.problem.y), torch.zeros_like(self.problem.AHy)  # q and A^H q

    def preconditioner(self, variance: float | Tensor) -> Tensor:
        return 1 / (1 + per_item(variance, self.rows) * self.rows)

    def __call__(
        self, x: Tensor, variance: float | Tensor, iterations: int, y: Tensor | None = None
    ) -> Tensor:
        A, AH, measured = self.problem.A, self.problem.AH, self.problem.y if y is None else y
        level = (
            item_mean(variance).flatten() if isinstance(variance, Tensor) else self.level.new_tensor(variance)
        )
        same_correction, self.level = self.level / level, level
        q, g = per_item(same_correction, measured) * self.q, per_item(same_correction, x) * self.g
        M = self.preconditioner(level)
        residual = measured - A(x + variance * g) - q
        change, AH_change = dual_conjugate_gradients(A, AH, variance, residual, iterations, lambda r: M * r)
        self.q, self.g = q + change, g + AH_change
        return x + variance * self.g


class Draw:
    """Samples of the Gaussian N(u; x, v) p(y | u), exact as the conjugate gradients converge: both terms of the data
    step with noise of their own (perturb and optimise, Papandreou & Yuille 2010). The mean begins where the last call's
    ended, its noise, new each time, from zero: what few steps do not reach has the noise of v and no more.

    Args:
        problem: whose measurement it is.
        data_step: of the problem, for the mean.
    """

    def __init__(self, problem: Whitened, data_step: DataStep) -> None:
        self.problem, self.mean_step, self.noise_step = problem, data_step, data_solver(problem)

    def __call__(
        self, x: Tensor, variance: float, iterations: int, noise: NoiseSource, temperature: float = 1.0
    ) -> Tensor:
        """A sample for x (B, H, W); `temperature`: scale of its noise."""
        around = self.around(x, variance, iterations, noise)
        return self.mean_step(x, variance, iterations) + temperature * around

    def around(self, x: Tensor, variance: float | Tensor, iterations: int, noise: NoiseSource) -> Tensor:
        """The noise of such a sample alone, in the shape of x: N(0, (1/v + A^H A)^-1)."""
        z, n = noise.like(x), noise.like(self.problem.y)
        self.noise_step.forget()
        return self.noise_step(variance**0.5 * z, variance, iterations, y=n)
