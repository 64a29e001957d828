"""What every posterior method shares: the problem in the prior's units, the loop over slices and samples.

A method writes `trajectory(posed, noise)`, a generator that yields its estimate of the clean image after each network
evaluation or pair of them; the last one is the sample. In the prior's units, with white noise of unit variance,

    y = A x + n,    A <- W^½ A_phys scale,    y <- W^½ (y - A_phys offset),    image = offset + scale x.

W is the inverse variance of the measurement's noise plus that of a model error of `MODEL_ERROR` of y's rms: no scan
follows its discretised model better, and noise-free data would otherwise be fitted beyond it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ...operators.linear import LinearOperator
from ...operators.radon import RadonWithGaps
from ...operators.solve import conjugate_gradients, inner, item_mean
from ...priors.sampling.loop import Counted, ItemNoise, Noise, item_seeds
from ...priors.score import Prior, from_channels, to_channels
from ..baselines.fbp import fill_gaps
from ..problem import Problem, Reconstruction, check_images
from .proximal import Proximal, carried

MODEL_ERROR = 4e-4
Callback = Callable[[int, int], None]  # (steps done, steps in all)


class Posed:
    """A batch of one problem in a prior's units. Images x are (B, H, W), real or complex; (B, C, H, W) for a prior of
    C > 2 channels.

    Args:
        problem: in physical units.
        prior: its `channels` must suit the operator's domain (ValueError otherwise).
        initial: a rough reconstruction (B, *operator.domain) in physical units, e.g. `least_squares(problem)`.
        repeat: samples per item; items stand `repeat` times in a row.
        model_error: relative model error, see the module.
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
        self.operator = problem.operator.repeat(repeat)
        self.y = problem.y.repeat_interleave(repeat, 0)
        power = item_mean(self.y.abs() ** 2)
        variance = model_error**2 * power
        if problem.noise is not None:
            variance = variance + 1 / problem.noise.weights(self.y)
        self.weights = (2.0 if self.y.is_complex() else 1.0) / variance.clamp_min(1e-30)
        if prior.intensity is None:
            scale, offset = torch.full((len(initial),), 1 / problem.unit, device=initial.device), 0.0
        else:
            scale, offset = prior.intensity.affine(initial, problem.water)
        self.scale, self.offset = scale.view(-1, *[1] * (initial.ndim - 1)), offset
        if offset:
            constant = torch.full_like(initial[:1], offset)
            self.y = self.y - problem.operator.items(slice(0, 1))(constant)
        self.initial = (initial - offset) / self.scale
        self._measured = self.adjoint(self.y)  # A^H y, whitened

    @property
    def evaluations(self) -> int:
        """Of the network, so far."""
        return self.prior.evaluations

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """D(x, sigma), sigma a number or (B,): the prior's posterior mean of x0, one network evaluation."""
        return from_channels(self.prior.denoise(to_channels(x, self.prior.channels), sigma))

    def tweedie(self, x: Tensor, sigma: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """D(x, sigma), one network evaluation, and v -> (dD/dx)^T v, a walk back through the network for each call.

        Of complex images the transpose is that of the map of real and imaginary parts.
        """
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            D = self.denoise(at, sigma)

        def vjp(v: Tensor) -> Tensor:
            self.vjps += 1
            return torch.autograd.grad(D, at, v, retain_graph=True)[0]

        return D.detach(), vjp

    def forward(self, x: Tensor) -> Tensor:
        """A x in the units of y, not whitened."""
        return self.operator(x * self.scale)

    def backward(self, y: Tensor) -> Tensor:
        """A^H y, not whitened."""
        return self.scale * self.operator.adjoint(y)

    def adjoint(self, y: Tensor) -> Tensor:
        """A^H W y: the whitened adjoint of something in the units of y."""
        return self.backward(self.weights * y)

    def normal(self, x: Tensor) -> Tensor:
        """A^H A x, whitened."""
        if self.weights[0].numel() == 1:  # one weight an item: the operator's own normal is faster
            weight = self.weights.view_as(self.scale) * self.scale**2
            return weight * self.operator.normal(x)
        return self.adjoint(self.forward(x))

    def misfit(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """A^H r and |r| (B, 1, ..., 1) of the whitened residual r = y - A x."""
        r = self.y - self.forward(x)
        length = inner(r, self.weights * r).sqrt().view_as(self.scale)
        return self.adjoint(r), length

    @cached_property
    def probe(self) -> Tensor:
        """White noise in the shape of the images, the same for every item: what the operator is asked with."""
        return ItemNoise([0] * len(self.initial)).like(self.initial)

    @cached_property
    def undersampling(self) -> Tensor:
        """Pixels of the image to a number that the operator measures, item by item: (B, 1, ..., 1)."""
        measured = (self.forward(self.probe) != 0).flatten(1).sum(1).clamp_min(1)
        return (self.initial[0].numel() / measured).view_as(self.scale)

    @cached_property
    def gain(self) -> Tensor:
        """The largest eigenvalue of A^H A, whitened, item by item: (B, 1, ..., 1), by the power method."""
        x, value = self.probe, self.scale
        for _ in range(20):
            x = self.normal(x / inner(x, x).sqrt())
            value = inner(x, x).sqrt()
        return value

    @cached_property
    def mean_gain(self) -> Tensor:
        """The mean eigenvalue of A^H A where something is measured, as `gain`; from the one draw `probe`."""
        z = self.probe
        return inner(z, self.normal(z)) / inner(z, z) * self.undersampling.clamp_min(1)

    @cached_property
    def data_step(self) -> Proximal:
        """argmin_u ½ |A u - y|² + |u - x|² / (2 v) of (x, v, iterations), begun where the last call ended."""
        return carried(self)

    @cached_property
    def _noise_step(self) -> Proximal:
        return carried(self)

    def draw(
        self, x: Tensor, variance: float, iterations: int, noise: Noise, temperature: float = 1.0
    ) -> Tensor:
        """A sample of the Gaussian N(u; x, variance) p(y | u), exact as the conjugate gradients converge: both terms
        of `data_step` with noise of their own (perturb and optimise, Papandreou & Yuille 2010). `temperature`: scale of
        that noise. The mean begins where the last call's ended, its noise, new each time, from zero: what few steps
        do not reach has the noise of `variance` and no more."""
        z, n = noise.like(x), noise.like(self.y)
        self._noise_step.forget()
        around = self._noise_step(variance**0.5 * z, variance, iterations, y=n / self.weights.sqrt())
        return self.data_step(x, variance, iterations) + temperature * around

    def proximal(
        self,
        x: Tensor,
        variance: float | Tensor,
        iterations: int,
        start: Tensor | None = None,
        y: Tensor | None = None,
    ) -> Tensor:
        """argmin_u ½ |A u - y|² + ½ |(u - x) / sqrt(variance)|², by conjugate gradients in (u - x) / sqrt(variance).

        They begin at x + start. `y` (units of the measurement) replaces the measured one, as in the projection sampler.
        `variance`: of all pixels, or of each, of the shape of x.
        """
        root = variance**0.5
        measured = self._measured if y is None else self.adjoint(y)
        begin = x if start is None else x + start
        residual = root * (measured - self.normal(begin))
        residual = residual if start is None else residual - start / root
        return begin + root * conjugate_gradients(
            lambda d: d + root * self.normal(root * d), residual, iterations=iterations
        )

    def physical(self, x: Tensor) -> Tensor:
        """x in the units of the scan."""
        return self.offset + self.scale * x


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


def least_squares(problem: Problem, iterations: int = 8) -> Tensor:
    """A few conjugate gradients on the normal equations: a scale, and a start where nothing better is at hand.

    Lost rays count as interpolated, but for views without any: so few iterations leave what they crossed empty."""
    operator, y = problem.operator, problem.y
    if isinstance(operator, RadonWithGaps):
        y = fill_gaps(y, operator.valid)
        operator = RadonWithGaps(
            operator.operator, operator.valid.any(1, keepdim=True).expand(operator.range)
        )
    return conjugate_gradients(operator.normal, operator.adjoint(y), iterations=iterations)


class PosteriorMethod:
    """Base of the methods; a subclass is a frozen dataclass of its settings with a `trajectory`."""

    def trajectory(self, posed: Posed, noise: Noise) -> Iterator[Tensor]:
        """Yield the estimate of x0 after each step; the last is the sample."""
        raise NotImplementedError

    def steps_in_all(self) -> int:
        """How many estimates `trajectory` yields."""
        raise NotImplementedError

    @property
    def settings(self) -> dict[str, Any]:
        """Name and settings, JSON-able."""
        fields = dataclasses.asdict(self) if dataclasses.is_dataclass(self) else {}  # type: ignore[call-overload]
        return {"method": type(self).__name__, **{k: v for k, v in fields.items() if not callable(v)}}

    def automatic(self, posed: Posed) -> dict[str, Any]:
        """The settings that are left to the method, as they are for this problem; JSON-able."""
        return {}

    @torch.no_grad()
    def __call__(
        self,
        problem: Problem,
        prior: Prior,
        samples: int = 1,
        seed: int = 0,
        batch: int = 8,
        callback: Callback | None = None,
        first_slice: int = 0,
    ) -> Reconstruction:
        """Draw `samples` from the posterior of each slice.

        Args:
            problem: B slices, on the device where the prior is.
            prior: e.g. from `scanprior.load_prior`.
            samples: S per slice.
            seed: slice b, sample s is a function of (seed, b, s): never of `batch`.
            batch: images denoised at once.
            callback: called with (steps done, steps in all).
            first_slice: what the problem's first slice is in the whole scan, so that parts of a scan give what the
                whole does.
        """
        began, evaluations, chunks, problem = time.perf_counter(), 0, [], problem.in_own_unit()
        automatic: dict[str, Any] = {}
        B, at_once = len(problem.y), min(samples, batch)
        slices = max(1, batch // samples)
        total = -(-B // slices) * -(-samples // at_once) * self.steps_in_all()
        done = 0
        for first in range(0, B, slices):
            part = problem.items(slice(first, first + slices))
            initial = least_squares(part)
            check_images(initial, part, "least squares", first)
            drawn = []
            for start in range(0, samples, at_once):
                count = min(at_once, samples - start)
                seeds = [
                    item_seed
                    for b in range(first, first + len(part.y))
                    for item_seed in item_seeds(seed, first_slice + b, start, count)
                ]
                posed = Posed(part, prior, initial, count)
                automatic = automatic or self.automatic(posed)
                x = posed.initial
                for estimate in self.trajectory(posed, ItemNoise(seeds)):
                    x, done = estimate, done + 1
                    if callback is not None:
                        callback(done, total)
                evaluations = posed.evaluations
                drawn.append(posed.physical(x).cpu().unflatten(0, (len(part.y), count)))
            chunks.append(torch.cat(drawn, 1))
        seconds = time.perf_counter() - began
        provenance = {**self.settings, **automatic, "seed": seed, "samples": samples}
        return Reconstruction.of(problem, torch.cat(chunks), evaluations, seconds, provenance)
