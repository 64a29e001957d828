"""The data step of DDS and its kin, carried from one noise level to the next:

    u = argmin_u ½ |A u - y|²_W + ½ |u - x|²_{1/v},        W = diag(1 / N), the inverse noise variances,

v the variance of all pixels or a map of each one's.

Two ways to solve it by a few conjugate gradients, both begun at the correction u - x of the last call, which is worth
more than as many steps again (docs/methods.md):

    primal    (I + v^½ A^H W A v^½) d = v^½ A^H W (y - A x),        u = x + v^½ d
    dual      (N + A v A^H) q = y - A x,                            u = x + v A^H q

The dual works on vectors of the size of the measurement, and the noise stands on its diagonal, so that it can be
preconditioned by M = 1 / (N + mean(v) |A A^H 1|): rays of very different noise or length then cost few steps more than
equal ones. It is used for CT; multi-coil k-space is larger than its image and its noise is even, there the primal is
cheaper.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from ...operators.solve import inner, item_mean
from ...priors.score import per_item

if TYPE_CHECKING:
    from .base import Posed


class Proximal(Protocol):
    enough: int  # conjugate gradient steps from level to level

    def __call__(
        self, x: Tensor, variance: float | Tensor, iterations: int, y: Tensor | None = None
    ) -> Tensor:
        """u for x (B, H, W); begins where the last call ended. `y`: instead of the measured one."""
        ...

    def forget(self) -> None:
        """The next call begins at x."""
        ...


def carried(posed: Posed) -> Proximal:
    """The cheaper way to solve the data step of a posed problem."""
    operator = posed.operator
    small = math.prod(operator.range) <= 4 * math.prod(operator.domain)
    return Dual(posed) if small and not operator.domain_complex else Primal(posed)


class Primal:
    enough = 6

    def __init__(self, posed: Posed) -> None:
        self.posed = posed
        self.forget()

    def forget(self) -> None:
        self.correction = torch.zeros_like(self.posed.initial)

    def __call__(
        self, x: Tensor, variance: float | Tensor, iterations: int, y: Tensor | None = None
    ) -> Tensor:
        u = self.posed.proximal(x, variance, iterations, start=self.correction, y=y)
        self.correction = u - x
        return u


def row_sums(posed: Posed) -> Tensor:
    """|A A^H 1|, not whitened: how much each measurement weighs; a bound of A A^H where A >= 0. Positive."""
    rows = posed.forward(posed.backward(torch.ones_like(posed.y))).abs()
    return torch.maximum(rows, 1e-6 * rows.amax(tuple(range(1, rows.ndim)), keepdim=True))  # per item


class Dual:
    enough = 3  # preconditioned

    def __init__(self, posed: Posed) -> None:
        self.posed, self.noise = posed, (1 / posed.weights).expand_as(posed.y)
        self.rows = row_sums(posed)
        self.level: Tensor = torch.ones_like(posed.y.flatten(1)[:, 0])  # mean(v) of the last call
        self.forget()

    def forget(self) -> None:
        self.q, self.g = torch.zeros_like(self.posed.y), torch.zeros_like(self.posed.initial)  # q and A^H q

    def __call__(
        self, x: Tensor, variance: float | Tensor, iterations: int, y: Tensor | None = None
    ) -> Tensor:
        measured: Tensor = self.posed.y if y is None else y
        level = (
            item_mean(variance).flatten() if isinstance(variance, Tensor) else self.level.new_tensor(variance)
        )
        same_correction, self.level = self.level / level, level
        q, g = per_item(same_correction, measured) * self.q, per_item(same_correction, x) * self.g
        M = 1 / (self.noise + per_item(level, measured) * self.rows)
        r = measured - self.posed.forward(x + variance * g) - self.noise * q
        p, rho = torch.zeros_like(r), math.inf
        for left in reversed(range(iterations)):
            z = M * r
            rho, before = inner(r, z).clamp_min(1e-38), rho
            p = z + rho / before * p
            back = self.posed.backward(p)
            spread = variance * back
            # <p, (N + A v A^H) p> without A, which only the next residual needs
            curvature = inner(p, self.noise * p).flatten() + inner(back, spread).flatten()
            alpha = rho.flatten() / curvature.clamp_min(1e-38)
            q = q + per_item(alpha, q) * p
            g = g + per_item(alpha, g) * back
            if left:
                r = r - per_item(alpha, r) * (self.noise * p + self.posed.forward(spread))
        self.q, self.g = q, g
        return x + variance * g
