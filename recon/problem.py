"""The question and the answer: `Problem(y, operator, noise)` in, `Reconstruction(mean, std, samples, ...)` out.

A problem is all a method sees: no file, no task name, no truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from ..modality import Modality
from ..operators.linear import LinearOperator
from ..operators.solve import conjugate_gradients


class Noise(Protocol):
    def weights(self, y: Tensor) -> Tensor:
        """Inverse variance of each measurement, broadcastable to y (of the complex number, where y is complex)."""
        ...


@dataclass(frozen=True, repr=False)
class Problem:
    """y = A x + noise.

    Attributes:
        y: measurement, (B, *operator.range).
        operator: A, from images (B, H, W) in physical units (1/mm; units of k-space).
        noise: its law; None for noise-free data.
        water: attenuation of water [1/mm] that turns 1/mm into HU (CT); None: the prior's.
        facts: how what the scan did not say came about (noise level, coil maps), for reports: JSON-able.
        unit: what 1 of y, and of its images, is in the units of the scan (`in_own_unit`).
        numbers: of the B slices in the whole scan, which their noise is a function of and errors tell; from 0 where
            none are given.
    """

    y: Tensor
    operator: LinearOperator
    noise: Noise | None = None
    water: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    unit: float = 1.0
    numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if tuple(self.y.shape[1:]) != self.operator.range:
            raise ValueError(
                f"the measurement has shape {tuple(self.y.shape)}, but {self.operator!r} measures "
                f"(batch, {', '.join(map(str, self.operator.range))}); the geometry or mask belongs to another scan"
            )
        if not self.numbers:
            object.__setattr__(self, "numbers", tuple(range(len(self.y))))
        if len(self.numbers) != len(self.y):
            raise ValueError(f"got {len(self.numbers)} numbers of slices for {len(self.y)} slices")
        if self.water is not None and not 0 < self.water < math.inf:
            raise ValueError(f"got water {self.water}, expected its attenuation in 1/mm, about 0.02")
        if not bool(torch.isfinite(torch.view_as_real(self.y) if self.y.is_complex() else self.y).all()):
            raise ValueError(
                "the measurement holds NaN or infinite values; mask or repair those samples first"
            )

    def __repr__(self) -> str:
        return f"Problem(y of {_sizes(self.y)}, {self.operator!r}, noise={self.noise!r})"

    @property
    def modality(self) -> Modality:
        """MR where images are complex, CT where they are real."""
        return Modality.MR if self.operator.domain_complex else Modality.CT

    def in_own_unit(self) -> Problem:
        """The same problem with k-space of about 1, by a power of two, which rounds nothing: receivers have any unit,
        and float32 does not hold the squares of many. Real measurements keep theirs, which priors know."""
        scaled = getattr(self.noise, "scaled", None)
        other = self.noise is not None and scaled is None
        if other or not (self.y.is_complex() and self.operator.domain_complex):
            return self
        exponent = math.frexp(float(torch.view_as_real(self.y).abs().max()))[1]
        unit = 2.0 ** max(-120, min(120, exponent))
        noise = None if scaled is None else scaled(1 / unit)
        return replace(self, y=self.y * (1 / unit), noise=noise, unit=self.unit * unit)

    def items(self, index: slice) -> Problem:
        """A part of the batch."""
        return replace(
            self, y=self.y[index], operator=self.operator.items(index), numbers=self.numbers[index]
        )

    def least_squares(self, iterations: int = 8) -> Tensor:
        """A few conjugate gradients on the normal equations, (B, *operator.domain): a scale, and a start where nothing
        better is at hand. Lost rays count as interpolated: so few iterations leave what they crossed empty."""
        operator, y = self.operator.filled(self.y)
        return conjugate_gradients(operator.normal, operator.adjoint(y), iterations=iterations)

    def to(self, device: torch.device | str) -> Problem:
        """The problem on another device (the operator is moved in place)."""
        return replace(self, y=self.y.to(device), operator=self.operator.to(device))


def _sizes(tensor: Tensor) -> str:
    return f"{' x '.join(map(str, tensor.shape))} {str(tensor.dtype)[6:]}"


def check_images(images: Tensor, problem: Problem, which: str) -> None:
    """Refuse images (B, ...) that are no answer: ValueError for NaN, and for zeros where k-space was measured.

    `which`: what made them.
    """
    for b, image, y in zip(problem.numbers, images, problem.y, strict=True):
        if not bool((image.abs() < torch.inf).all()):
            raise ValueError(
                f"{which}: the image of slice {b} has NaN or infinite values: the settings diverge, or the "
                "measurement, its weights or the coil maps are beyond float32"
            )
        if image.is_complex() and not bool(image.any()) and bool(y.any()):
            raise ValueError(
                f"{which}: the image of slice {b} is zero and its k-space is not: the coil maps are zero or NaN, or "
                "values are below float32"
            )


@dataclass(frozen=True, repr=False)
class Reconstruction:
    """Samples of the posterior and what they say together, in physical units, on the CPU.

    Attributes:
        mean: (B, H, W), real or complex.
        std: standard deviation over the samples, (B, H, W) real (of the magnitude, for complex images); None for S = 1.
        samples: (B, S, H, W).
        nfe: network evaluations per sample.
        seconds: wall time of the whole call.
        provenance: method, its settings, seed: JSON-able.
    """

    mean: Tensor
    std: Tensor | None
    samples: Tensor
    nfe: int
    seconds: float
    provenance: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        method = self.provenance.get("method", "?")
        return (
            f"Reconstruction({method}: {self.samples.shape[1]} of {_sizes(self.mean)}, nfe={self.nfe}, "
            f"{self.seconds:.3g} s)"
        )

    @property
    def effective(self) -> dict[str, Any]:
        """The method and its settings as they were used."""
        apart = ("seed", "samples", "network_dtype")
        return {key: value for key, value in self.provenance.items() if key not in apart}

    @staticmethod
    def of(
        problem: Problem, samples: Tensor, nfe: int, seconds: float, provenance: dict[str, Any]
    ) -> Reconstruction:
        """From samples (B, S, H, W) in the problem's own unit.

        Raises:
            ValueError: images that are not finite in the units of the scan, or zero where k-space was measured.
        """
        values = samples.abs() if samples.is_complex() else samples
        std = problem.unit * values.std(1) if samples.shape[1] > 1 else None
        samples, mean = problem.unit * samples, problem.unit * samples.mean(1)
        check_images(samples, problem, str(provenance.get("method", "the method")))
        return Reconstruction(mean, std, samples, nfe, seconds, provenance)

    @staticmethod
    def joined(parts: Sequence[Reconstruction]) -> Reconstruction:
        """One of all slices, from those of some slices each, in their order."""
        first = parts[0]
        std = None if first.std is None else torch.cat([part.std for part in parts if part.std is not None])
        mean, samples = (torch.cat([getattr(part, name) for part in parts]) for name in ("mean", "samples"))
        seconds = sum(part.seconds for part in parts)
        return Reconstruction(mean, std, samples, first.nfe, seconds, first.provenance)
