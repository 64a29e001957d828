"""The problem as the methods see it: in the prior's units, with white noise of unit variance,

    y = A x + n,    A = W^½ A_phys scale,    y = W^½ (y_phys - A_phys offset),    image = offset + scale x.

W is the inverse variance of the measurement's noise and of a model error (recon/weights.py). `A`, `AH`, `AHA` and `y`
are whitened; what is in the units of the scan is called physical.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from ...operators.linear import LinearOperator
from ...operators.solve import inner, largest_eigenvalue
from ...priors.sampling.loop import Counted, ItemNoise
from ...priors.score import Prior, from_channels, to_channels
from ..problem import Problem
from ..weights import MODEL_ERROR, inverse_variance, measured, seen_arc, undersampling
from .solver import DataStep, Draw, data_solver

# First levels of a warm start, and the part of the half circle below which an angle is missing; chosen on validation
# slices (docs/lab/2026-11-27-draws-settings.md)
START, MISSING_START, WHOLE = 0.5, 4.0, 0.9


class Posed:
    """A batch of one problem in a prior's units. Images x are (B, H, W), real or complex; (B, C, H, W) for a prior of
    C > 2 channels.

    Args:
        problem: in physical units.
        prior: its `channels` must suit the operator's domain (ValueError otherwise).
        initial: a rough reconstruction (B, *operator.domain) in physical units, e.g. `problem.least_squares()`.
        repeat: samples per item; items stand `repeat` times in a row.
        model_error: relative model error (recon/weights.py).

    Attributes:
        y: the whitened measurement; zero where nothing is measured.
        initial: the rough reconstruction in the prior's units.
        weights: W, broadcastable to y; of each part of a complex number.
        undersampling: pixels of the image to a measured number, item by item: (B, 1, ..., 1).
        seen_arc: the part of the half circle that CT's views cover; 1 for other measurements.
    """

    def __init__(
        self,
        problem: Problem,
        prior: Prior,
        initial: Tensor,
        repeat: int = 1,
        model_error: float = MODEL_ERROR,
    ) -> None:
        check_channels(problem.operator, prior)
        self.prior, self.vjps = Counted(prior), 0
        if repeat > 1:
            initial = initial.repeat_interleave(repeat, 0)
        self.physical_operator = problem.operator.repeat(repeat)
        y = (measured(problem) * problem.y).repeat_interleave(repeat, 0)
        weights = inverse_variance(problem, model_error) * (2.0 if y.is_complex() else 1.0)
        self.weights = weights.repeat_interleave(repeat, 0)
        if prior.intensity is None:
            scale, offset = torch.full((len(initial),), 1 / problem.unit, device=initial.device), 0.0
        else:
            scale, offset = prior.intensity.affine(initial, problem.water)
        self.scale, self.offset = scale.view(-1, *[1] * (initial.ndim - 1)), offset
        if offset:
            y = y - self.physical_operator(torch.full_like(initial, offset))
        self._root = self.weights.sqrt()
        self.y = self._root * y
        self.undersampling = undersampling(problem).repeat_interleave(repeat, 0).view_as(self.scale)
        self.seen_arc = seen_arc(problem)
        self.initial = (initial - offset) / self.scale
        self.AHy = self.AH(self.y)

    # --- the prior
    @property
    def evaluations(self) -> int:
        """Of the network, so far."""
        return self.prior.evaluations

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """D(x, sigma), sigma a number or (B,): the prior's posterior mean of x0, one network evaluation."""
        return from_channels(self.prior.denoise(to_channels(x, self.prior.channels), sigma))

    def tweedie(self, x: Tensor, sigma: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """D(x, sigma), one network evaluation, and v -> (dD/dx)^T v, a VJP of the network for each call.

        Of complex images the transpose is that of the map of real and imaginary parts.
        """
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            D = self.denoise(at, sigma)

        def vjp(v: Tensor) -> Tensor:
            self.vjps += 1
            return torch.autograd.grad(D, at, v, retain_graph=True)[0]

        return D.detach(), vjp

    # --- the measurement
    def A(self, x: Tensor) -> Tensor:
        """A x, whitened."""
        return self._root * self.physical_operator(x * self.scale)

    def AH(self, r: Tensor) -> Tensor:
        """A^H r of a whitened measurement."""
        return self.scale * self.physical_operator.adjoint(self._root * r)

    def AHA(self, x: Tensor) -> Tensor:
        """A^H A x."""
        if self.weights[0].numel() == 1:  # one weight an item: the operator's own normal is faster
            weight = self.weights.view_as(self.scale) * self.scale**2
            return weight * self.physical_operator.normal(x)
        return self.AH(self.A(x))

    def misfit(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """A^H r and |r| (B, 1, ..., 1) of the residual r = y - A x."""
        r = self.y - self.A(x)
        return self.AH(r), inner(r, r).sqrt().view_as(self.scale)

    def physical(self, x: Tensor) -> Tensor:
        """x in the units of the scan."""
        return self.offset + self.scale * x

    # --- what the operator is like
    @cached_property
    def probe(self) -> Tensor:
        """White noise in the shape of the images, the same for every item: what the operator is asked with."""
        return ItemNoise([0] * len(self.initial)).like(self.initial)

    @cached_property
    def gain(self) -> Tensor:
        """The largest eigenvalue of A^H A, item by item: (B, 1, ..., 1)."""
        return largest_eigenvalue(self.AHA, self.probe)

    @cached_property
    def mean_gain(self) -> Tensor:
        """The mean eigenvalue of A^H A where something is measured, as `gain`; from the one draw `probe`."""
        z = self.probe
        return inner(z, self.AHA(z)) / inner(z, z) * self.undersampling.clamp_min(1)

    def row_sums(self) -> Tensor:
        """W |A_phys A_phys^H 1|: how much each number weighs against its noise; a bound of A A^H where A >= 0.
        Positive."""
        ones = torch.ones_like(self.y)
        back = self.scale**2 * self.physical_operator.adjoint(ones)
        rows = self.physical_operator(back).abs()
        least = 1e-6 * rows.amax(tuple(range(1, rows.ndim)), keepdim=True)  # per item
        return self.weights * torch.maximum(rows, least)

    # --- the data step
    @cached_property
    def data_step(self) -> DataStep:
        """argmin_u ½ |A u - y|² + |u - x|² / (2 v) of (x, v, iterations), begun where the last call ended."""
        return data_solver(self)

    def first_level(self, sigma: float | None) -> float:
        """Where a run that begins at `initial` begins: `sigma`, or for None above the error of least squares, which are
        far off where an angle is missing."""
        if sigma is None:
            return MISSING_START if self.seen_arc < WHOLE else START
        return sigma

    def iterations(self, cg: int | None) -> int:
        """Conjugate gradient steps of a data step: `cg`, or for None as many as are enough from level to level."""
        return self.data_step.enough if cg is None else cg

    @cached_property
    def draw(self) -> Draw:
        """A sample of the Gaussian N(u; x, v) p(y | u), of (x, v, iterations, noise)."""
        return Draw(self, self.data_step)


def check_channels(operator: LinearOperator, prior: Prior) -> None:
    """Refuse a prior of other images than the operator's: ValueError."""
    domain = operator.domain
    if len(domain) == 3 and (prior.channels != domain[0] or prior.channels < 3 or operator.domain_complex):
        raise ValueError(
            f"the operator measures images of shape {domain}, but the prior has {prior.channels} channel(s); it "
            "must have as many, three or more, and the images be real"
        )
    if len(domain) != 3 and prior.channels != 1 + operator.domain_complex:
        got, needs = ("MRI", "complex") if operator.domain_complex else ("CT", "real")
        raise ValueError(
            f"the measurement is {got} ({needs} images), but the prior has {prior.channels} channel(s): "
            f"it belongs to another modality; choose a prior of {got} images"
        )
