"""FISTA-TV: the image of least total variation among those that fit, for CT and MRI.

    min_x  ½ || W^½ (A x - y) ||²  +  lambda TV(x)      (and x >= 0 for real images)

TV(x) sums the length of the gradient over the pixels (forward differences, isotropic). Of a complex image
the moduli of the two differences are measured together: turning the phase of the whole image changes
nothing, a phase ramp costs.

FISTA (Beck & Teboulle, SIAM J. Imaging Sci. 2, 183, 2009, eq. 4.1-4.3) with the step 1/L, L = ||W^½ A||².
The proximal map of (lambda / L) TV and the sign is computed on the dual, by the fast gradient projection
of Beck & Teboulle, IEEE Trans. Image Process. 18, 2419, 2009: a few steps, started from the last dual
variable.

The weight is relative, per item: weight = lambda / max |A^H W y|. The same number means the same
smoothing whatever the units of y, the scale of A (views, coils, pixel size) and that of W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...modality import Modality
from ...operators.linear import LinearOperator
from ..options import Space
from ..problem import Problem
from ..weights import noise_weights, squared_norms, weighted
from .fbp import bridged
from .method import Baseline

_MARGIN = 1.1  # on ||A||², as the power method comes from below


@torch.no_grad()
def fista_tv(
    y: Tensor,
    operator: LinearOperator,
    weight: float,
    iterations: int = 200,
    weights: Tensor | None = None,
    nonnegative: bool = True,
    inner: int = 10,
    start: Tensor | None = None,
) -> Tensor:
    """FISTA-TV, every item of the batch by itself.

    Args:
        y: measurements, (B, *range).
        operator: A; its images are (H, W).
        weight: lambda relative to max |A^H W y|; sensible values lie between 1e-5 (clean) and 1e-1.
        iterations: of FISTA, each with one A and one A^H.
        weights: W, statistical weights (1 / variance) broadcastable to y; None: all alike.
        nonnegative: keep real images >= 0. Complex images have no sign; there it does nothing.
        inner: dual steps in each proximal map.
        start: the image (B, H, W) to start from; None: zero.

    Returns:
        (B, H, W), in the units of the operator's images.

    Raises:
        ValueError: for a negative weight, negative statistical weights, or images that are not (H, W).
    """
    check_tv("fista_tv", operator, weight, iterations, inner)
    y, A = weighted(y, operator, weights)
    At_y = A.adjoint(y)
    L = _MARGIN * squared_norms(A, len(y), y.device)
    tau = weight * At_y.abs().amax((1, 2), keepdim=True) / L  # (B, 1, 1)
    positive = nonnegative and not operator.domain_complex

    x = z = torch.zeros_like(At_y) if start is None else start
    q, t = torch.zeros_like(gradient(x)), 1.0
    for _ in range(iterations):
        x_last, t_last = x, t
        x, q = tv_prox(z - (A.adjoint(A(z)) - At_y) / L, tau, q, inner, positive)
        t = (1 + (1 + 4 * t_last**2) ** 0.5) / 2
        z = x + (t_last - 1) / t * (x - x_last)
    return x


def check_tv(what: str, operator: LinearOperator, weight: float, iterations: int, inner: int) -> None:
    """Raises ValueError, in the name of `what`, for images that are not (H, W) and settings that cannot be."""
    if len(operator.domain) != 2:
        raise ValueError(f"{what}: got images of shape {operator.domain}, expected (H, W)")
    if weight < 0 or iterations < 1 or inner < 1:
        raise ValueError(
            f"{what}: got weight={weight}, iterations={iterations} with {inner} steps inside; "
            "expected a weight of at least 0 and at least one of each"
        )


def tv_prox(
    b: Tensor, tau: Tensor, q: Tensor, iterations: int, nonnegative: bool = False
) -> tuple[Tensor, Tensor]:
    """argmin_x ½ ||x - b||² + tau TV(x) (and x >= 0), and its dual variable, by fast gradient projection.

    With D the gradient, x = P(b - D^T q) and q maximises the dual over |q| <= tau, per pixel; ||D||² <= 8.

    Args:
        b: (B, H, W).
        tau: (B, 1, 1).
        q: (B, 2, H, W), where to start; zeros, or the q of a problem nearby.
    """

    def primal(dual: Tensor) -> Tensor:
        x = b - gradient_adjoint(dual)
        return x.clamp_min(0) if nonnegative else x

    radius = tau[:, None]  # (B, 1, 1, 1)
    r, t = q, 1.0
    for _ in range(iterations):
        q_last, t_last = q, t
        q = r + gradient(primal(r)) / 8
        length = q.abs().square().sum(1, keepdim=True).sqrt()
        q = q * (radius / torch.maximum(length, radius).clamp_min(1e-38))
        t = (1 + (1 + 4 * t_last**2) ** 0.5) / 2
        r = q + (t_last - 1) / t * (q - q_last)
    return primal(q), q


def gradient(x: Tensor) -> Tensor:
    """D x: forward differences down the rows and along the columns, zero at the far edges: (B, 2, H, W)."""
    d = x.new_zeros(x.shape[0], 2, *x.shape[1:])
    d[:, 0, :-1] = x[:, 1:] - x[:, :-1]
    d[:, 1, :, :-1] = x[:, :, 1:] - x[:, :, :-1]
    return d


def gradient_adjoint(p: Tensor) -> Tensor:
    """D^T p: (B, 2, H, W) -> (B, H, W)."""
    x = torch.zeros_like(p[:, 0])
    x[:, 1:] += p[:, 0, :-1]
    x[:, :-1] -= p[:, 0, :-1]
    x[:, :, 1:] += p[:, 1, :, :-1]
    x[:, :, :-1] -= p[:, 1, :, :-1]
    return x


@dataclass(frozen=True)
class FistaTV(Baseline):
    """Total variation by FISTA.

    Attributes:
        weight: lambda relative to max |A^H W y|: 1e-5 (clean) to 1e-1.
        iterations: of FISTA.
    """

    name = "fista-tv"
    line = "total variation by FISTA, weighted by the noise"
    reference = "Beck & Teboulle, 2009"
    space: ClassVar[Space] = {"weight": (1e-5, 0.1)}
    title, scans = "FISTA-TV", (Modality.CT, Modality.MR)
    weight: float = 1e-3
    iterations: int = 200

    def image(self, problem: Problem) -> Tensor:
        W, x = noise_weights(problem), bridged(problem)
        return fista_tv(problem.y, problem.operator, self.weight, self.iterations, W, start=x)
