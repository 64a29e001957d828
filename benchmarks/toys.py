"""Operators and noise so small that the exact answer is known: what tests and benchmarks/known_answer.py share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scanprior.operators.linear import LinearOperator
from scanprior.priors.sampling.loop import ItemNoise
from torch import Tensor


class Dense(LinearOperator):
    """y = M x for a stored matrix (m, n), real or complex, over images that are flattened.

    Args:
        matrix: M.
        domain: shape of the images; (n,) by default.
        domain_complex: whether they are complex.
    """

    def __init__(
        self, matrix: Tensor, domain: Sequence[int] | None = None, domain_complex: bool = False
    ) -> None:
        super().__init__(
            domain or matrix.shape[1:],
            matrix.shape[:1],
            domain_complex=domain_complex,
            range_complex=matrix.is_complex() or domain_complex,
        )
        self.matrix: Tensor
        self.register_buffer("matrix", matrix)

    def apply_forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).to(self.matrix.dtype) @ self.matrix.T

    def apply_adjoint(self, y: Tensor) -> Tensor:
        x = (y @ self.matrix.conj()).unflatten(1, self.domain)
        return x if self.domain_complex else x.real


class PerItem(LinearOperator):
    """Multiplies each item, (5,) and complex, by its own number."""

    def __init__(self, factors: Tensor) -> None:
        super().__init__((5,), (5,), domain_complex=True, range_complex=True)
        self.factors: Tensor
        self.register_buffer("factors", factors)

    def apply_forward(self, x: Tensor) -> Tensor:
        return self.factors[:, None] * x

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return self.factors.conj()[:, None] * y

    def repeat(self, n: int) -> LinearOperator:
        return PerItem(self.factors.repeat_interleave(n))

    def items(self, index: slice) -> LinearOperator:
        return PerItem(self.factors[index])


@dataclass(frozen=True)
class Uneven:
    """Independent noise of different strength in each measurement, as photons have."""

    sigma: Tensor

    def weights(self, y: Tensor) -> Tensor:
        return (1 / self.sigma**2).expand(y.shape)

    def sample(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        return clean + self.sigma * torch.randn(clean.shape, generator=generator)


class OneGenerator(ItemNoise):
    """Noise of a whole batch from one generator: fast for thousands of tiny images, and no sample of it can be drawn
    again alone. From a seed, or, with the interface of `ItemNoise`, from the first of many."""

    def __init__(self, seeds: int | Sequence[int]) -> None:
        seed = seeds if isinstance(seeds, int) else seeds[0]
        self.generator = torch.Generator().manual_seed(seed)

    def like(self, x: Tensor) -> Tensor:
        if x.is_complex():
            return torch.view_as_complex(self.like(torch.view_as_real(x)))
        return torch.randn(x.shape, generator=self.generator)
